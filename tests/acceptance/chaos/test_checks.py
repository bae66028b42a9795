"""The checks of a round can fail: whatever must not be is planted in a database, a ledger or the marks, and found."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import psycopg
import pytest

from reproq.lifecycle import Failure, Kind, Outcome, Success, decide
from reproq.store import claims
from reproq.store.finalising import Finalisation, finalize
from tests.acceptance.chaos import round as chaos_round
from tests.acceptance.chaos.checks import Verdicts, judge
from tests.acceptance.chaos.evidence import gather
from tests.acceptance.chaos.ledger import append
from tests.acceptance.chaos.plan import LONG_SECONDS
from tests.acceptance.chaos.record import RECORD

TASKS = "tests.acceptance.chaos.tasks"
INSERT = (
    "INSERT INTO task_runs (task_path, args, backoff_seconds)"
    " VALUES (%s, json_build_array(%s::text), '{0}') RETURNING id"
)
STUMBLED = Failure(Kind.EXCEPTION, f"{TASKS}.Stumbled", "stumbled")


@dataclass
class Left:
    """What a round leaves: rows and their record, a ledger, marks."""

    dsn: str
    pg: psycopg.Connection
    folder: Path

    def write(self, what: str, *labels: str, **more: object) -> None:
        append(self.folder / "ledger-p", json.dumps({"what": what, "labels": labels} | more))

    def enqueue(self, label: str, task: str = "work") -> int:
        row = self.pg.execute(INSERT, [f"{TASKS}.{task}", label]).fetchone()
        assert row is not None
        self.write("asked", label)
        self.write("acknowledged", label, ids=row)
        return int(row[0])

    def mark(self, word: str, label: str, run_id: int, attempt: int, *, pid: int = 1, at: float = 0.0) -> None:
        append(self.folder / "marks", f"{word} {label} {run_id}-ff {attempt} w-{attempt} {pid} {at or time.time()}")

    def attempt(self, label: str, number: int, outcome: Outcome | None = None) -> None:
        """The one run that is READY is claimed, executed and ended."""
        with self.pg.cursor() as cursor:
            claims.promote(cursor)
            named = {"queues": ["default"], "token": number, "worker_id": f"w-{number}"}
            (claimed,) = claims.claim(cursor, limit=1, lease_seconds=30.0, **named)
            self.mark("began", label, claimed.claim.run_id, number)
            value = Success(json.dumps({"label": label, "began": time.time(), "pid": 1}))
            self.mark("ended", label, claimed.claim.run_id, number)
            verdict = decide(claimed.claim, outcome or value)
            finalize(cursor, [Finalisation(*claimed.claim.key, verdict)])

    def judged(self, crashes: int = 0) -> Verdicts:
        return judge(gather(self.dsn, self.folder, crashes))


@pytest.fixture
def left(dsn: str, pg: psycopg.Connection, tmp_path: Path) -> Left:
    """A run that succeeded at once, one that did so at its second attempt, and one that was rolled back."""
    pg.execute(RECORD)
    left = Left(dsn, pg, tmp_path)
    assert left.enqueue("a") == 1
    left.attempt("a", 1)
    assert left.enqueue("b", "stumble") == 2
    left.attempt("b", 1, STUMBLED)
    left.attempt("b", 2)
    left.write("undone", "never")
    return left


def test_what_is_in_order_is_found_in_order(left: Left) -> None:
    assert left.judged() == Verdicts()


ANOTHER_ATTEMPT = "UPDATE task_runs SET attempts = attempts + 1, worker_ids = worker_ids || 'w'::text WHERE id = 1"
UNRECORDED = "ALTER TABLE task_runs DISABLE TRIGGER chaos_note"
PLANTED: dict[str, tuple[str, Callable[[Left], object]]] = {
    "an acknowledged run is gone": ("lost", lambda left: left.pg.execute("DELETE FROM task_runs WHERE id = 1")),
    "a run stays in the queue": ("lost", lambda left: left.enqueue("c")),
    "the ledger has another id": ("lost", lambda left: left.write("acknowledged", "a", ids=[99])),
    "nobody has enqueued a run": (
        "lost",
        lambda left: (left.pg.execute(INSERT, [f"{TASKS}.work", "x"]), left.attempt("x", 1)),
    ),
    "a run ends a second time": ("twice", lambda left: left.pg.execute("UPDATE task_runs SET finished_at = now()")),
    "a run is taken up again": (
        "twice",
        lambda left: left.pg.execute(
            "UPDATE task_runs SET status = 'READY', finished_at = NULL, return_value = NULL WHERE id = 1"
        ),
    ),
    "a call is there twice": ("twice", lambda left: (left.enqueue("a"), left.attempt("a", 1))),
    "two runs of one tick": ("twice", lambda left: (left.enqueue("tick"), left.attempt("tick", 1))),
    "an attempt too many": ("miscounted", lambda left: (left.pg.execute(UNRECORDED), left.pg.execute(ANOTHER_ATTEMPT))),
    "a failure without an error": (
        "miscounted",
        lambda left: (left.pg.execute(UNRECORDED), left.pg.execute("UPDATE task_runs SET errors = '[]' WHERE id = 2")),
    ),
    "more executions than attempts": ("miscounted", lambda left: left.mark("began", "a", 1, 1, pid=2)),
    "a success without an execution": ("miscounted", lambda left: (left.folder / "marks").write_text("")),
    "what was rolled back": ("never_committed", lambda left: (left.enqueue("never"), left.attempt("never", 1))),
    "a value of an execution before the claim": (
        "late",
        lambda left: (
            left.enqueue("c"),
            left.attempt("c", 1, Success(json.dumps({"label": "c", "began": time.time() - 1, "pid": 1}))),
        ),
    ),
    "a value of another run": (
        "wrong_end",
        lambda left: (
            left.enqueue("c"),
            left.attempt("c", 1, Success(json.dumps({"label": "a", "began": time.time() + 1, "pid": 1}))),
        ),
    ),
    "a success of a task that always fails": (
        "wrong_end",
        lambda left: (left.enqueue("c", "fail"), left.attempt("c", 1)),
    ),
    "an error that no fault brings": (
        "wrong_end",
        lambda left: (
            left.enqueue("c"),
            left.attempt("c", 1, Failure(Kind.BAD_REPLY, "x.Y", "?")),
            left.attempt("c", 2),
        ),
    ),
}


@pytest.mark.parametrize(("kind", "plant"), PLANTED.values(), ids=PLANTED)
def test_what_must_not_be_is_found(kind: str, plant: Callable[[Left], object], left: Left) -> None:
    plant(left)
    verdicts = left.judged()
    assert getattr(verdicts, kind), [(one.name, getattr(verdicts, one.name)) for one in fields(verdicts)]


def test_an_execution_that_a_crash_has_forgotten_is_allowed_once_a_crash(left: Left) -> None:
    left.mark("began", "a", 1, 1, pid=2)
    assert left.judged(crashes=1) == Verdicts()
    left.mark("began", "a", 1, 1, pid=3)
    assert left.judged(crashes=1).miscounted


def test_a_call_in_doubt_may_be_there_or_not(left: Left) -> None:
    left.write("asked", "gone")
    assert left.judged() == Verdicts()


def test_executions_at_one_time_are_counted_and_are_no_fault(left: Left) -> None:
    now = time.time()
    left.mark("began", "a", 1, 1, pid=2, at=now - 10)
    left.mark("ended", "a", 1, 1, pid=2, at=now + 10)
    assert left.judged(crashes=1) == Verdicts(overlaps=1)


@pytest.mark.parametrize(
    ("less", "fault"),
    [
        ({"rescues": 19}, "rescues: 19, where a round needs 20"),
        ({"lost_answers": 4}, "lost answers: 4, where a round needs 5"),
        ({"restarts": 2}, "restarts: 2, where a round needs 3"),
        ({"growth_kilobytes": chaos_round.FLAT_KILOBYTES + 1}, "grew by"),
    ],
)
def test_a_round_in_which_too_little_has_hit_fails(less: dict[str, int], fault: str) -> None:
    enough = {"rescues": 20, "lost_answers": 5, "restarts": 3}
    assert chaos_round.shortfalls(chaos_round.Outcome(1, LONG_SECONDS, **enough)) == []
    (found,) = chaos_round.shortfalls(chaos_round.Outcome(1, LONG_SECONDS, **(enough | less)))
    assert fault in found
