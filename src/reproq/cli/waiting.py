"""Wait for the ends of runs, by looking again and again: a command holds no transaction and needs no LISTEN."""

import time
from collections.abc import Sequence
from typing import Final

from reproq.lifecycle import Status
from reproq.store.db import Database
from reproq.store.insight import RunDetail, show_run

LOOK_EVERY_SECONDS: Final = 0.1


def await_ends(database: Database, run_ids: Sequence[int], patience_seconds: float) -> list[RunDetail]:
    """The runs as they are when all of them have finished, or when the patience is over. Raises RunNotFound.

    What was once seen finished is not looked up again: its age may be up before the others have ended.
    """
    deadline = time.monotonic() + patience_seconds
    seen: dict[int, RunDetail] = {}
    while True:
        with database.transaction() as cursor:
            for run_id in run_ids:
                if run_id not in seen or not Status(seen[run_id].status).is_finished:
                    seen[run_id] = show_run(cursor, run_id)
        if all(Status(run.status).is_finished for run in seen.values()) or time.monotonic() > deadline:
            return [seen[run_id] for run_id in run_ids]
        time.sleep(LOOK_EVERY_SECONDS)
