"""Who runs the server's programs, so that PostgreSQL accepts it and the data folder's owner stays its owner.

An ordinary user runs them. Root cannot: they run inside a user namespace, or, where namespaces are refused or the
folder lies where only root's capabilities reach, as an existing unprivileged user. Nothing outside the data folder
changes owner or mode, and no user is ever added to the system.
"""

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reproq.errors import ConfigurationError

from . import namespace

_KEPT_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
FAILED: Final = 126
"""Exit code of a command that could not be started, or did not end in time."""
_PROBE: Final = 'cd -- "$1" && exec "$2" --version'


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs programs as the owner of a data folder. `uid` and `gid` own what they write, as seen from outside."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()
    switch: bool = False

    def run(
        self, command: Sequence[str | Path], *, cwd: Path, timeout_seconds: float, keep_open: Collection[int] = ()
    ) -> tuple[int, str]:
        """Exit code and output. The output goes through a file: a pipe would be held open by the server it started.

        `keep_open` are descriptors that the program inherits. The environment is a short one: a server that outlives
        its starter must not keep the starter's secrets, and `PG…` variables would change what the programs do.
        """
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ} | {"LC_ALL": "C"}
        with tempfile.TemporaryFile() as output:
            try:
                code = subprocess.run(
                    [*self.prefix, *map(str, command)],
                    cwd=cwd,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    timeout=timeout_seconds,
                    start_new_session=True,  # the terminal's Ctrl-C is not meant for the server
                    check=False,
                    pass_fds=keep_open,
                    user=self.uid if self.switch else None,
                    group=self.gid if self.switch else None,
                    extra_groups=() if self.switch else None,
                ).returncode
            except (OSError, subprocess.TimeoutExpired) as error:
                return FAILED, str(error)
            output.seek(0)
            return code, output.read().decode(errors="replace").strip()

    def describe(self) -> str:
        """For people: as whom."""
        return f"user {_name(self.uid)}" + (" in a user namespace" if self.prefix else "")


def runner_for(folder: Path, binaries: Path) -> Runner:
    """The first runner that can execute the binaries and reach the (existing) folder, which is its own afterwards.

    Raises ConfigurationError when the folder belongs to another user, or when no runner can reach both.
    """
    me, owner = os.geteuid(), folder.stat().st_uid
    if me not in (0, owner):
        raise ConfigurationError(
            f"the data folder {folder} belongs to {_name(owner)}, not to {_name(me)}; "
            "use a folder of your own, or run this as its owner"
        )
    refusals = []
    for runner in _candidates(folder, owner):
        command = ("/bin/sh", "-c", _PROBE, "sh", folder.parent, binaries / "postgres")
        code, output = runner.run(command, cwd=Path("/"), timeout_seconds=30)
        if code == 0:
            if runner.uid != owner:
                _give(folder, runner)
            return runner
        refusals.append(f"as {runner.describe()}: {output or f'exit code {code}'}")
    raise ConfigurationError(
        f"no user can run {binaries / 'postgres'} in {folder} (PostgreSQL refuses to run as root)\n  "
        + "\n  ".join(refusals)
        + "\nmove the data folder, or the Python environment with the binaries, to where one of them may go"
    )


def make_private(folder: Path) -> None:
    """Make the folder if it is missing, closed to others; what lies above it is made like its own parent."""
    if not folder.parent.exists():
        _make_parents(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    # Through a descriptor: root may work in a home whose owner swaps the folder for a link meanwhile.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        status = os.fstat(descriptor)
        if status.st_mode & 0o777 != 0o700 and os.geteuid() in (0, status.st_uid):
            os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)


def _make_parents(folder: Path) -> None:
    if not folder.parent.exists():
        _make_parents(folder.parent)
    try:
        folder.mkdir()
    except FileExistsError:
        return
    if os.geteuid() == 0:
        above = folder.parent.stat()
        os.chown(folder, above.st_uid, above.st_gid, follow_symlinks=False)


def _candidates(folder: Path, owner: int) -> Iterator[Runner]:
    me = os.geteuid()
    if me != 0:
        # initdb refuses a user without a name (a container started with --user 1234); in a namespace it has one.
        yield Runner(me, os.getegid()) if _known(me) else _in_namespace()
    elif owner != 0:
        yield _as_user(owner)
    else:
        yield _in_namespace()
        above = [parent.stat().st_uid for parent in folder.parents]
        names = [user.pw_uid for user in pwd.getpwall() if user.pw_name in ("postgres", "nobody")]
        names.sort(key=lambda uid: _name(uid) == "nobody")
        for uid in dict.fromkeys([*above, *names]):
            if uid != 0 and _known(uid):
                yield _as_user(uid)


def _in_namespace() -> Runner:
    users = pwd.getpwall()
    inner = next((user for user in users if user.pw_name == "nobody"), None) or next(u for u in users if u.pw_uid)
    script = (sys.executable, "-I", "-S", namespace.__file__, str(inner.pw_uid), str(inner.pw_gid))
    return Runner(os.geteuid(), os.getegid(), prefix=script)


def _as_user(uid: int) -> Runner:
    return Runner(uid, pwd.getpwuid(uid).pw_gid if _known(uid) else uid, switch=True)


def _give(folder: Path, runner: Runner) -> None:
    """Root's own data folder becomes the runner's: a namespace that served before is refused today."""
    # From the leaves up, by descriptors: until the last step the new owner can reach nothing in it, nor swap it.
    for _, _, names, descriptor in os.fwalk(folder, topdown=False):
        for name in names:
            os.chown(name, runner.uid, runner.gid, dir_fd=descriptor, follow_symlinks=False)
        os.fchown(descriptor, runner.uid, runner.gid)


def _known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _name(uid: int) -> str:
    return pwd.getpwuid(uid).pw_name if _known(uid) else f"uid {uid}"
