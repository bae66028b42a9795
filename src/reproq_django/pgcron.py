"""Keeps pg_cron's jobs in line with the schedules, where OPTIONS["PGCRON"] asks for it: after `migrate`, and after each
change of a periodic task by the ORM. The jobs themselves are `reproq.scheduler.pgcron`'s.
"""

import sys
from typing import Any, Final

from django.db import DatabaseError, connections, transaction

from reproq.errors import ReproqError
from reproq.schedule.pgcron import Layout
from reproq.scheduler.pgcron import Looked, install
from reproq_django import conf
from reproq_django.reached import is_migrated_to

NEEDED: Final = "0003_pg_cron"


def layout_for(using: str) -> Layout | None:
    """The layout that the first backend of this database asks for; None where none does, or not in words we know."""
    for backend in conf.backend_aliases():
        asked = conf.options_of(conf.params_of(backend)).get("pgcron")
        if asked in list(Layout) and conf.database_alias(backend) == using:
            return Layout(asked)
    return None


def bring_in_line(using: str, layout: Layout) -> Looked:
    """Make the jobs what they should be. Raises PgCronUnusable or PgCronRefused, and changes nothing then."""
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        return install(cursor, layout)


def after_migrate(using: str, verbosity: int = 1, **rest: Any) -> None:
    """After every `migrate` of a database that holds our tables. It makes no migration fail: what is wrong is said."""
    layout = layout_for(using)
    if layout is None or connections[using].vendor != "postgresql":
        return
    if not is_migrated_to(using, NEEDED):
        return
    try:
        plan = bring_in_line(using, layout).plan
    except (ReproqError, DatabaseError) as error:
        sys.stderr.write(f"  pg_cron's jobs are left as they are: {error}\n")
        return
    if verbosity >= 1 and not plan.is_done:
        counts = f"{len(plan.add)} added, {len(plan.change)} changed, {len(plan.remove)} removed"
        sys.stdout.write(f"  pg_cron's jobs: {counts}\n")


def after_change(using: str, **rest: Any) -> None:
    """A periodic task was saved or deleted. When that is committed, the jobs follow; Django logs it where they cannot,
    and the change stands."""
    if (layout := layout_for(using)) is None:
        return

    def follow() -> None:  # Django 6.0 logs a failure by the name of what failed, which a partial has not
        bring_in_line(using, layout)

    transaction.on_commit(follow, using=using, robust=True)
