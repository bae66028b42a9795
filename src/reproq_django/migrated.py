"""What follows a `migrate`: schedules that the code declares are stored, so that a deploy needs no further command.

OPTIONS["SYNC_SCHEDULES"] = False switches that off. It never makes a migration fail: what is wrong is said.
"""

import sys
from typing import Any, Final

from django.db import connections

from reproq.errors import ReproqError
from reproq_django import conf
from reproq_django.reached import is_migrated_to

NEEDED: Final = "0002_schedules"


def sync_schedules(using: str, verbosity: int = 1, **rest: Any) -> None:
    """After every `migrate` of a database that holds our tables."""
    ours = [backend for backend in conf.backend_aliases() if conf.database_alias(backend) == using]
    wanted = any(conf.options_of(conf.params_of(one)).get("sync_schedules", True) is True for one in ours)
    if not wanted or connections[using].vendor != "postgresql":
        return
    if not is_migrated_to(using, NEEDED):
        return
    from reproq_django.sync import sync

    try:
        report = sync(using)
    except ReproqError as error:
        sys.stderr.write(f"  Schedules are not synchronised: {error}\n")
        return
    for name, problem in report.problems.items():
        sys.stderr.write(f"  The schedule {name} is not stored: {problem}\n")
    if verbosity >= 1 and (changed := [*report.created, *report.updated]):
        sys.stdout.write(f"  Schedules of the code: {len(changed)} stored ({', '.join(changed)})\n")
