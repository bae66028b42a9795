"""A worker that is stepped by hand: the real loop and the real SQL, an executor whose runs end when the test says so,
and one clock for both, which stands still until the test moves it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from selectors import BaseSelector
from typing import Any

import psycopg
import pytest

from reproq.config import Config
from reproq.errors import ConfigurationError
from reproq.executors import Ended
from reproq.lifecycle import Key, Outcome, Release, Success
from reproq.output import NOTHING, Output
from reproq.spec import make_spec
from reproq.store.db import Database
from reproq.store.listener import Deaf
from reproq.store.requests import Request
from reproq.store.runs import NewRun, Terms, enqueue
from reproq.store.thread import DirectStore
from reproq.store.workers import WorkerRow
from reproq.telemetry.events import Event, Telemetry
from reproq.wire import Payload
from reproq.worker.loop import Worker


class Clock:
    """The database's clock and CLOCK_MONOTONIC, moved together."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


class HandExecutor:
    """Runs end when the test ends them; `stopped` holds what the loop asked to stop, and why."""

    def __init__(self) -> None:
        self.payloads: dict[Key, Payload] = {}
        self.stopped: dict[Key, Outcome] = {}
        self.graces: dict[Key, float | None] = {}
        self.queued: set[Key] = set()  # what a test says has no process yet
        self.is_ready = True
        self.never_ready = False
        self.wants_ahead = 0
        self._ended: list[Ended] = []

    imports_once = True

    def start(self, selector: BaseSelector) -> None: ...

    @property
    def ready(self) -> bool:
        if self.never_ready:
            raise ConfigurationError("the project cannot be imported")
        return self.is_ready

    @property
    def running(self) -> int:
        return len(self.payloads)

    def ahead(self, trip_seconds: float) -> int:
        return self.wants_ahead

    def submit(self, key: Key, payload: Payload) -> None:
        self.payloads[key] = payload

    def reap_adopted(self) -> None: ...

    def stop(self, key: Key, outcome: Outcome, grace_seconds: float | None = None) -> None:
        self.stopped[key] = outcome
        self.graces[key] = grace_seconds

    def withdraw(self, reason: str) -> None:
        for key in self.queued & self.payloads.keys():
            self.end(key, Release(reason, started=False), at=None)

    def end(self, key: Key, outcome: Outcome | None = None, at: float | None = 0.0, printed: Output = NOTHING) -> None:
        del self.payloads[key]
        self._ended.append(Ended(key, outcome or Success("null"), at, at or 0.0, printed))

    def end_all(self) -> None:
        for key in list(self.payloads):
            self.end(key)

    def deadline(self) -> float | None:
        return None

    def tick(self) -> None: ...

    def take_ended(self) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def take_notices(self) -> list[str]:
        return []

    def close(self) -> None:
        for key in list(self.payloads):
            self.end(key, Release("the executor was closed", started=True))


class CutStore(DirectStore):
    """Keeps what it is asked, unanswered, while `cut` is set: the database is away."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        super().__init__(database, clock)
        self.cut = False
        self.waiting: list[Request] = []
        self.asked: list[Request] = []

    def submit(self, request: Request) -> None:
        self.asked.append(request)
        if self.cut:
            self.waiting.append(request)
        else:
            super().submit(request)

    def mend(self) -> None:
        """The database is back, and answers what waited."""
        self.cut = False
        waiting, self.waiting = self.waiting, []
        for request in waiting:
            super().submit(request)


class HandEar:
    """Hears what the test says."""

    def __init__(self) -> None:
        self.hears = 1
        self.heard: list[str] = []

    def start(self, selector: BaseSelector) -> None: ...

    def take_heard(self) -> list[str]:
        heard, self.heard = self.heard, []
        return heard

    def take_notices(self) -> list[str]:
        return []

    def close(self) -> None: ...


class Bench:
    """Everything a test of the loop needs, over one database."""

    def __init__(self, dsn: str, pg: psycopg.Connection) -> None:
        self.clock = Clock()
        self.pg = pg
        self._dsn = dsn
        self.workers: list[Worker] = []
        self.stores: dict[str, CutStore] = {}

    def worker(self, name: str = "w1", **options: Any) -> tuple[Worker, HandExecutor, list[Event]]:
        """A worker with its own connection; returns its executor and its events, too."""
        burst = options.pop("burst", False)
        ear = options.pop("ear", Deaf())
        concurrency = options.pop("concurrency", 4)
        config = Config(**({"lease": 30.0, "heartbeat": 10.0, "beat": False} | options))
        row = WorkerRow(
            worker_id=name,
            hostname="h",
            pid=len(self.workers),
            queues=config.queues,
            executor="hand",
            concurrency=concurrency,
            version="0",
        )
        store = self.stores[name] = CutStore(Database(self._dsn, name), self.clock.now)
        executor, events = HandExecutor(), []
        telemetry = Telemetry([events.append])
        monotonic = self.clock.monotonic
        worker = Worker(
            config,
            row,
            store,
            executor,
            telemetry,
            ear=ear,
            burst=burst,
            monotonic=monotonic,
            draw_fraction=lambda: 0.5,
        )
        self.workers.append(worker)
        return worker, executor, events

    def steps(self, worker: Worker, times: int = 4) -> None:
        """Enough steps for questions and answers to settle at this moment."""
        for _ in range(times):
            worker.step(0)

    def enqueue(self, *numbers: int, **fields: Any) -> list[int]:
        with self.pg.cursor() as cursor:
            return [
                enqueue(
                    cursor,
                    NewRun(spec=make_spec("x.y", [number], {}), nonce=number, terms=Terms(**fields)),
                    self.clock.now(),
                ).run_id
                for number in numbers
            ]

    def statuses(self) -> dict[str, int]:
        return dict(self.pg.execute("SELECT status, count(*) FROM task_runs GROUP BY status").fetchall())

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


@pytest.fixture
def bench(dsn: str, pg: psycopg.Connection) -> Iterator[Bench]:
    bench = Bench(dsn, pg)
    yield bench
    bench.close()


@pytest.fixture
def names() -> Callable[[list[Event]], list[str]]:
    return lambda events: [event.name for event in events]
