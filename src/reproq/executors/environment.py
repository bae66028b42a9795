"""The environments that processes are started with: ours with what decides about determinism pinned, a foreign
program's with next to nothing in it. Pure.
"""

from collections.abc import Mapping
from typing import Final

PINNED: Final[Mapping[str, str]] = {
    "PYTHONHASHSEED": "0",  # the order of sets of strings is the same in every run
    "PYTHONUTF8": "1",
    "LC_ALL": "C.UTF-8",
}
DROPPED: Final = frozenset(
    {
        "PYTHONUNBUFFERED",  # a system call for each print
        "PYTHONINSPECT",
        "PYTHONSTARTUP",
        "PYTHONIOENCODING",  # would win over PYTHONUTF8
    }
)


def template_environment(base: Mapping[str, str]) -> dict[str, str]:
    """`base` with the pinned names set and the names that work against them left out."""
    return {name: value for name, value in base.items() if name not in DROPPED} | dict(PINNED)


PASSED: Final = frozenset({"PATH", "LD_LIBRARY_PATH", "HOME", "LANG", "TZ"})


def command_environment(base: Mapping[str, str]) -> dict[str, str]:
    """What a foreign program may see of `base`: where programs, libraries and home are, language, zone; no secrets."""
    return {name: value for name, value in base.items() if name in PASSED or name.startswith("LC_")}
