"""Every event that can be emitted: its level in the log, when it happens, and its fields in the order of the line.

The reference page of events is made from this, and a test holds it together with whoever emits. It refuses to know who
that is, and what is done with an event.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the events of one name. `when` is a sentence for who reads a log."""

    level: int
    when: str
    fields: tuple[str, ...]


def _known(level: int, fields: str, when: str) -> Known:
    return Known(level, when, tuple(fields.split()))


CATALOGUE: Final[Mapping[str, Known]] = {
    "worker.started": _known(
        logging.INFO,
        "worker queues executor concurrency installation",
        "A worker has its row in `reproq_workers` and begins to claim. Again when that row was lost and is made anew.",
    ),
    "worker.id_taken": _known(
        logging.WARNING,
        "worker by_host by_pid next",
        "Another living worker or beat bears the id. It is asked for until that one is stale, for two leases at most.",
    ),
    "worker.lease_short": _known(
        logging.WARNING,
        "heartbeat_seconds database_timeout_seconds connect_timeout_seconds hosts kill_grace_seconds sum_seconds "
        "lease_seconds next",
        "The worker starts with a lease that may end before one lost connection is made good: the sum of the parts, "
        "with `connect_timeout_seconds` for each of the `hosts`, is no less than the lease.",
    ),
    "worker.memory_bounds": _known(
        logging.WARNING,
        "executor max_rss_bytes max_memory_bytes next",
        "The worker starts with a `max_rss` that does nothing under its executor, or only after `max_memory` has.",
    ),
    "worker.draining": _known(
        logging.INFO,
        "running held_up timeout_seconds next",
        "The worker was told to stop: it claims no more, and what runs may end within the time. `held_up` runs have "
        "ended, and are stored when nobody locks their rows any more (see `run.held_up`).",
    ),
    "worker.left_behind": _known(
        logging.ERROR,
        "runs next",
        "The worker ends and could not store how so many runs ended. Others rescue them when their leases are over.",
    ),
    "worker.stopped": _known(logging.INFO, "worker", "The worker has ended in order."),
    "run.claimed": _known(
        logging.DEBUG,
        "id task attempt waited_seconds",
        "A run was claimed and is about to start (`--verbose`). It has waited since it was due.",
    ),
    "run.succeeded": _known(
        logging.INFO, "id task seconds", "The success of a run is stored. Its last attempt took so long."
    ),
    "run.held_up": _known(
        logging.WARNING,
        "id task by next",
        "Somebody's transaction locks the row of a run: its lease is renewed, or its end stored, when the row is free. "
        "Said once, until that is over. `by` names the session, as far as the worker's role may see it.",
    ),
    "run.freed": _known(
        logging.INFO,
        "id task held_up_seconds",
        "The transaction that held up a run is over: the lease is renewed, or the end stored.",
    ),
    "run.retried": _known(
        logging.WARNING,
        "id task kind error retry_in_seconds",
        "An attempt failed, and the run is tried again after its back-off.",
    ),
    "run.failed": _known(
        logging.ERROR,
        "id task status kind error",
        "A run has ended for good without success, and this is its last error.",
    ),
    "run.cancelled": _known(logging.INFO, "id task", "A run was cancelled while this worker had it."),
    "run.released": _known(
        logging.INFO,
        "id task reason",
        "A run is given back unfinished and is READY again, without an attempt being counted as a failure.",
    ),
    "run.rescued": _known(
        logging.WARNING,
        "id task attempt of lost_by becomes retry_in_seconds",
        "The lease of a run ran out while the worker `lost_by` held it. This worker has decided what becomes of it.",
    ),
    "run.rescue_refused": _known(
        logging.ERROR,
        "id task reason next",
        "The database refuses how a run is to end whose lease ran out: most likely a trigger or constraint of the "
        "project's. It is stored as failed, if that is possible; else it is tried again for as long as it is refused. "
        "Told once by each worker.",
    ),
    "run.printed": _known(
        logging.INFO, "id task bytes see", "An attempt has printed something, which is kept with the run."
    ),
    "run.return_refused": _known(
        logging.ERROR,
        "id task reason next",
        "The database refuses to store how a run ended. It is stored as failed, if that is possible.",
    ),
    "run.outcome_discarded": _known(
        logging.WARNING,
        "id reason next",
        "An attempt of this worker ended after its claim had passed to another, and changes nothing.",
    ),
    "run.lease_lost": _known(
        logging.WARNING,
        "id next",
        "A renewal told the worker that a run it executes is no longer its own.",
    ),
    "run.out_of_contact": _known(
        logging.WARNING,
        "id task next",
        'The database is away, and a run with `on_lost_contact="stop"` is stopped before its lease is over.',
    ),
    "runs.pruned": _known(logging.INFO, "runs", "One round over all rules of the retention has deleted so many runs."),
    "prune.refused": _known(
        logging.WARNING,
        "reason next",
        "The database deletes no runs: the worker's role lacks a right, or a table of the project's points to them.",
    ),
    "beat.started": _known(
        logging.INFO, "worker beat_interval_s installation", "A beat has its row and fires schedules."
    ),
    "beat.stopped": _known(logging.INFO, "worker", "The beat has ended in order."),
    "schedule.enqueued": _known(logging.INFO, "schedule due run lag_seconds", "A tick was enqueued as this run."),
    "schedule.caught_up": _known(
        logging.WARNING,
        "schedule due run lag_seconds",
        "A tick that had been missed, while nobody fired, was enqueued as this run.",
    ),
    "schedule.queued": _known(
        logging.INFO, "schedule due reason next", "A tick waits until the run of the tick before it has ended."
    ),
    "schedule.skipped": _known(
        logging.INFO,
        "schedule due reason next",
        "A tick is left out, since the run of the one before it has not ended.",
    ),
    "schedule.looked": _known(
        logging.DEBUG,
        "fired filled next_s",
        "Schedules were looked at (`--verbose`), where there are any: so many ticks fired, so many lists filled.",
    ),
    "schedule.overdue": _known(
        logging.WARNING, "reason next", "A schedule is overdue. Once, until all of them have been looked at again."
    ),
    "schedule.fault": _known(
        logging.ERROR, "schedule fault next", "A schedule cannot be computed or fired. It stops no other."
    ),
    "schedule.trouble": _known(
        logging.ERROR, "error next", "The look at the schedules failed as a whole. Once, until the error is another."
    ),
    "executor.notice": _known(
        logging.WARNING,
        "text",
        "Something about the processes of the executor, in a sentence, such as a template that died.",
    ),
    "database.notice": _known(
        logging.WARNING,
        "text",
        "Something about the database, in a sentence: `database lost`, `database still lost`, `database back`, "
        "`LISTEN lost` or `LISTEN is back` with the reason, or what is wrong with a pooler.",
    ),
}
