"""What a template does to its memory before it forks."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.executors.conftest import SOURCES

SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")
SCRIPT = """
import ctypes, re
from pathlib import Path
from reproq.child.heap import gather_heap

def huge_kilobytes():
    return sum(map(int, re.findall(r"AnonHugePages: +(\\d+)", Path("/proc/self/smaps").read_text())))

prctl, small_pages_only = ctypes.CDLL(None).prctl, 41  # PR_SET_THP_DISABLE
prctl(small_pages_only, 1, 0, 0, 0)
written = [bytearray(4000) for _ in range(5000)]
prctl(small_pages_only, 0, 0, 0, 0)
before = huge_kilobytes()
gather_heap()
print(before, huge_kilobytes(), all(not any(part) for part in written))
"""


def has_collapse() -> bool:
    """Whether this kernel gathers pages when it is asked to (Linux 6.1), and nobody has switched that off."""
    release = Path("/proc/sys/kernel/osrelease")
    if not (release.exists() and SWITCH.exists()) or "[never]" in SWITCH.read_text("ascii"):
        return False
    return tuple(map(int, release.read_text("ascii").split(".")[:2])) >= (6, 1)


@pytest.mark.skipif(not has_collapse(), reason="not on this platform: no MADV_COLLAPSE, or huge pages are switched off")
def test_what_it_has_written_to_lies_in_huge_pages_afterwards_and_is_what_it_was() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={"PYTHONPATH": str(SOURCES)}, capture_output=True, text=True, check=True
    )
    before, after, unharmed = ended.stdout.split()
    assert int(before) == 0
    assert int(after) >= 8 * 1024
    assert unharmed == "True"
