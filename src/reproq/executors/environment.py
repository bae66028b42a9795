"""The environments that processes are started with: ours with what decides about determinism pinned and a list of what
to forget, a foreign program's with next to nothing in it. Pure. Why so: docs/why/environment.md
"""

from collections.abc import Collection, Mapping
from typing import Final

from reproq.child.forgetting import FORGET
from reproq.config import KNOBS

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


SECRET: Final = frozenset(name for knob in KNOBS.values() if knob.secret for name in knob.environment)
"""Where the worker's own addresses and tokens stand."""
PATHS_OF_LIBPQ: Final = frozenset({"PGSERVICEFILE", "PGSYSCONFDIR", "PGLOCALEDIR"})
"""Of `PG*`, what says no address and no password, and what no connection parameter can say."""


def template_environment(base: Mapping[str, str], passed: Collection[str] = ()) -> dict[str, str]:
    """`base` with the pinned names set, the names that work against them left out, and the list of names that are to be
    forgotten once the project is imported. `passed` stay."""
    kept = {name: value for name, value in base.items() if name not in DROPPED} | dict(PINNED)
    kept.pop(FORGET, None)
    names = forgotten(kept, passed)
    return kept | ({FORGET: ",".join(names)} if names else {})


def forgotten(base: Mapping[str, str], passed: Collection[str] = ()) -> list[str]:
    """The names that no task and no program of a task shall see: our secrets, and how libpq finds a database."""
    libpq = (name for name in base if name.startswith("PG") and name not in PATHS_OF_LIBPQ)
    return sorted({*libpq, *(SECRET & base.keys())} - {*passed})


PASSED: Final = frozenset({"PATH", "LD_LIBRARY_PATH", "HOME", "LANG", "TZ"})


def command_environment(base: Mapping[str, str], passed: Collection[str] = ()) -> dict[str, str]:
    """What a foreign program may see of `base`: where programs, libraries and home are, language, zone, and what is
    `passed` by name; no secrets."""
    names = PASSED.union(passed)
    return {name: value for name, value in base.items() if name in names or name.startswith("LC_")}
