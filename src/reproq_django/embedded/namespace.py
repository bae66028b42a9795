"""A script: enter a user namespace as an existing unprivileged user, then become another program.

PostgreSQL refuses to run as root. Inside the namespace it sees itself as (say) nobody, while outside, files and
processes still belong to whoever started it, who keeps the rights of an owner and no more. It runs as a process of its
own, because only a process with a single thread may enter a user namespace. Standard library only; needs no
`unshare` program.
"""

import os
import sys

REFUSED = 125
"""Exit code when the system allows no such namespace."""


def enter(inner_uid: int, inner_gid: int) -> None:
    """Move this process into a new user namespace, its own ids mapped to these. Raises OSError when refused."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    os.unshare(os.CLONE_NEWUSER)
    # The kernel takes a gid_map from a process without rights outside only once setgroups is denied.
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{inner_uid} {outer_uid} 1"),
        ("gid_map", f"{inner_gid} {outer_gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def main(argv: list[str]) -> None:
    """`namespace.py UID GID PROGRAM ARGUMENT…`"""
    uid, gid, *command = argv
    try:
        enter(int(uid), int(gid))
    except OSError as error:
        print(f"no user namespace: {error}", file=sys.stderr)
        sys.exit(REFUSED)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
