"""The folder of a server's unix socket: short, private, computed from the data folder, trusted only when it is ours.

A socket's path may have 107 bytes, a data folder's path many more, so the socket lives in the temporary folder of the
machine. There anybody may have made the same name first, hence the checks.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

from reproq.errors import ConfigurationError

PORT: Final = 5432
"""Part of the socket's file name, nothing else: no server of ours listens on TCP."""
_LONGEST: Final = 107


def socket_folder(data_folder: Path, uid: int) -> Path:
    """Where the server of this data folder, run by `uid`, listens. Pure but for one look at the temporary folder.

    `/tmp` goes before TMPDIR: a shell, an editor and a cron job often disagree on TMPDIR and must find one server.
    """
    shared = "/tmp"  # noqa: S108 (the checks are in `claim`)
    temporary = shared if os.access(shared, os.W_OK | os.X_OK) else tempfile.gettempdir()
    digest = hashlib.sha256(os.fsencode(data_folder)).hexdigest()[:16]
    folder = Path(temporary, f"{_prefix(uid)}{digest}")
    length = len(os.fsencode(folder / f".s.PGSQL.{PORT}"))
    if length > _LONGEST:
        raise ConfigurationError(
            f"the path of the socket in {folder} has {length} bytes, the system allows {_LONGEST}; "
            "set TMPDIR to a folder with a shorter path"
        )
    return folder


def claim(folder: Path, uid: int, gid: int) -> None:
    """Make the folder for `uid`, empty and closed to others; refuse one that is a link or belongs to someone else.

    Call it only while no server is running: what a killed one left behind is removed, since its lock file may name a
    process number that another program has by now.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        check(folder, uid)
        folder.chmod(0o700)
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            (folder / name).unlink(missing_ok=True)
    else:
        if uid != os.geteuid():
            os.chown(folder, uid, gid, follow_symlinks=False)


def check(folder: Path, uid: int) -> None:
    """Raise ConfigurationError unless the folder is a real one and belongs to `uid`."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        what = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a folder"
    elif status.st_uid != uid:
        what = f"owned by uid {status.st_uid}, not by uid {uid}"
    else:
        return
    raise ConfigurationError(
        f"the socket folder {folder} is {what}, so somebody else could answer there; "
        "remove it (ask its owner or root), or use another data folder"
    )


def remove(folder: Path, uid: int) -> None:
    """Remove the folder if it is there, belongs to `uid` and has a name that `socket_folder` gives: a server that
    somebody started by hand listens elsewhere, as in /tmp itself."""
    if not folder.name.startswith(_prefix(uid)):
        return
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISDIR(status.st_mode) and status.st_uid == uid:
        shutil.rmtree(folder, ignore_errors=True)


def _prefix(uid: int) -> str:
    return f"reproq-{uid}-"
