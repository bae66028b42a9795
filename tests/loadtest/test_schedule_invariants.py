"""Each invariant of schedules, broken by plain SQL: exactly that one is found, and its row is named."""

from datetime import datetime

import psycopg
import pytest

from reproq.loadtest.verify import invariants
from reproq.store import periodic
from tests.loadtest.conftest import found, offences
from tests.store.periodic_rows import add

LIVE = """
    INSERT INTO reproq_workers (worker_id, role, beats, concurrency, started_at, last_seen_at)
    VALUES ('beat-1', 'beat', true, 0, now() - interval '1 hour', now())
"""
WITHOUT_TRIGGERS = "ALTER TABLE periodic_tasks DISABLE TRIGGER reproq_settle"
BREACHES = [
    ("ticks_and_runs_agree", "UPDATE reproq_ticks SET run_id = 2 WHERE id = 1", "tick 1"),
    ("ticks_and_runs_agree", "UPDATE reproq_ticks SET decided_at = decided_at + interval '1 s' WHERE id = 2", "tick 2"),
    ("ticks_and_runs_agree", "UPDATE reproq_ticks SET outcome = 'caught_up' WHERE id = 2", "tick 2"),
    ("lists_are_in_order", "UPDATE periodic_tasks SET upcoming = upcoming[1:1] || upcoming", "job"),
    (
        "lists_are_in_order",
        "UPDATE periodic_tasks SET upcoming = upcoming[1:1] || upcoming[4:] || upcoming[3:3]",
        "job",
    ),
    ("lists_are_in_order", "UPDATE periodic_tasks SET computed_until = NULL", "job"),
    ("lists_are_in_order", "UPDATE periodic_tasks SET computed_until = upcoming[3]", "job"),
    ("schedules_add_up", f"{WITHOUT_TRIGGERS}; UPDATE periodic_tasks SET args = '[2]'", "job"),
    ("schedules_add_up", f"{WITHOUT_TRIGGERS}; UPDATE periodic_tasks SET next_run_at = upcoming[2]", "job"),
    ("schedules_add_up", f"{WITHOUT_TRIGGERS}; UPDATE periodic_tasks SET wake_at = upcoming[2]", "job"),
    ("schedules_add_up", f"{WITHOUT_TRIGGERS}; UPDATE periodic_tasks SET paused_at = now()", "job"),
    ("last_ticks_are_kept", "DELETE FROM reproq_ticks WHERE id = 2", "job"),
    ("last_ticks_are_kept", "UPDATE periodic_tasks SET last_run_id = 1", "job"),
    ("last_ticks_are_kept", "UPDATE periodic_tasks SET queued_due_at = last_run_at", "job"),
    (
        "due_ticks_are_fired",
        f"{LIVE}; UPDATE periodic_tasks SET upcoming = ARRAY[now() - interval '1 h'] || upcoming",
        "job",
    ),
]


@pytest.mark.parametrize(("name", "damage", "subject"), BREACHES)
def test_a_broken_schedule_is_found_and_nothing_else(
    name: str, damage: str, subject: str, dsn: str, pg: psycopg.Connection
) -> None:
    def clock() -> datetime:
        return pg.execute("SELECT now()").fetchone()[0]

    with pg.cursor() as cursor:
        add(cursor, now=None)
        for minutes in (2, 1):
            moment = cursor.execute("SELECT now() - %s * interval '1 minute'", [minutes]).fetchone()[0]
            assert len(periodic.fire(cursor, "job", moment, now=moment)) == 1
    assert offences(found(dsn, clock=clock)) == {}
    pg.execute(damage)
    caught = offences(found(dsn, clock=clock))
    caught.pop("triggers_stand", None)
    assert list(caught) == [name]
    assert subject in [offence.subject for offence in caught[name]]


def test_every_invariant_of_schedules_has_a_test_that_breaks_it() -> None:
    of_schedules = {
        one.name for one in invariants() if "periodic_tasks" in one.statement or "reproq_ticks" in one.statement
    }
    named = {"constraints_stand", "indexes_stand", "triggers_stand"}
    assert of_schedules - named == {name for name, _, _ in BREACHES}
