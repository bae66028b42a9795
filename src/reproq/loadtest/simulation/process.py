"""One life of a worker's process: the real loop, with a store that serves when it is told to, and runs that end when
they are told to. When anything happens is decided in `world`."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from selectors import BaseSelector

import psycopg

from reproq.config import Config
from reproq.errors import ConfigurationError
from reproq.executors import Ended
from reproq.lifecycle import Key, Outcome, Release
from reproq.loadtest.simulation.clock import HostClock
from reproq.loadtest.simulation.rules import Actor, Interrupted, Rule, Violation
from reproq.loadtest.simulation.session import Disturbance, Session
from reproq.store.lane import answer_once, void_answer
from reproq.store.requests import Answer, Request, takes_in
from reproq.store.workers import WorkerRow
from reproq.telemetry.events import Telemetry
from reproq.wire import Payload
from reproq.worker.loop import Worker


class Died(Interrupted):
    """The process was killed while its request was under way."""


@dataclass(slots=True)
class Execution:
    """One payload at work: which claim it belongs to, since when, and what the loop asked to end it with."""

    serial: int
    started_s: float
    stop: Outcome | None = None


class HandExecutor:
    """Runs end when they are told to. Each is an execution of one claim, and its end names it."""

    def __init__(self, host: HostClock) -> None:
        self.executions: dict[Key, Execution] = {}
        self.claimed: dict[Key, int] = {}
        """The claims that this process was told of, each with the serial of its execution."""
        self._host = host
        self._ended: list[Ended] = []

    imports_once = False

    def start(self, selector: BaseSelector) -> None:
        """Nothing to register."""

    @property
    def ready(self) -> bool:
        return True

    @property
    def running(self) -> int:
        return len(self.executions)

    def submit(self, key: Key, payload: Payload) -> None:
        self.executions[key] = Execution(self.claimed[key], self._host.monotonic())

    def reap_adopted(self) -> None:
        """There is no process."""

    def ahead(self, trip_seconds: float) -> int:
        return 0

    def withdraw(self, reason: str) -> None:
        """Nothing waits here."""

    def stop(self, key: Key, outcome: Outcome, grace_seconds: float | None = None) -> None:
        if (execution := self.executions.get(key)) is not None:
            execution.stop = outcome

    def end(self, key: Key, outcome: Outcome, has_begun: bool = True) -> None:
        """This run ends so. `has_begun`: whether its task had started."""
        execution = self.executions.pop(key)
        self._ended.append(Ended(key, outcome, execution.started_s if has_begun else None, self._host.monotonic()))

    def deadline(self) -> float | None:
        return None

    def tick(self) -> None:
        """Nothing is due by itself."""

    def take_ended(self) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def take_notices(self) -> list[str]:
        return []

    def close(self) -> None:
        for key in list(self.executions):
            self.end(key, Release("the executor was closed", started=True))


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and when it came: by the host's clock, and as which of its process."""

    request: Request
    asked_s: float
    place: int


@dataclass(slots=True)
class HandLane:
    """A lane of the store, served from outside: one request at a time, in order, again after an outage."""

    session: Session
    waiting: deque[Asked] = field(default_factory=deque)


@dataclass(slots=True)
class HandStore:
    """The store's two lanes. While one is held in the middle of a request, the other may go on."""

    serve_rest: Callable[[], None]
    """Called at the worker's orderly end: what is queued is answered if the database is there."""
    host: HostClock
    holding: HandLane
    intake: HandLane
    answers: list[Answer] = field(default_factory=list)
    asked: int = 0

    def start(self, selector: BaseSelector) -> None:
        """Nothing to register."""

    def submit(self, request: Request) -> None:
        self.asked += 1
        lane = self.intake if takes_in(request) else self.holding
        lane.waiting.append(Asked(request, self.host.monotonic(), self.asked))

    def take_answers(self) -> list[Answer]:
        answers, self.answers = self.answers, []
        return answers

    def take_notices(self) -> list[str]:
        return []

    def close(self) -> None:
        self.serve_rest()

    @property
    def waiting(self) -> int:
        """How many requests have no answer yet."""
        return len(self.holding.waiting) + len(self.intake.waiting)

    @property
    def next(self) -> HandLane | None:
        """The lane whose turn it is: of those that are not in the middle of something, that of the oldest request."""
        free = [lane for lane in (self.holding, self.intake) if lane.waiting and not lane.session.is_lent]
        return min(free, key=lambda lane: lane.waiting[0].place, default=None)


class Process:
    """A worker's process, from its start to its death or its orderly end."""

    def __init__(
        self,
        config: Config,
        worker_id: str,
        actor: Actor,
        host: HostClock,
        sessions: tuple[Session, Session],
        database_is_away: Callable[[], bool],
    ) -> None:
        self.worker_id = worker_id
        self.actor = actor
        self.host = host
        self.sessions = sessions
        self._database_is_away = database_is_away
        self.is_alive = True
        self.frozen_until = 0.0
        self.executor = HandExecutor(host)
        self.store = HandStore(self._serve_rest, host, HandLane(sessions[0]), HandLane(sessions[1]))
        row = WorkerRow(
            worker_id=worker_id,
            hostname=f"simulated-{worker_id}",
            pid=actor.serial,
            queues=config.queues,
            executor="hand",
            concurrency=config.concurrency,
            version="0",
        )
        random = Random(f"token {actor.serial}")  # noqa: S311 - a seed must give the same history
        self.worker = Worker(
            config,
            row,
            self.store,
            self.executor,
            Telemetry(),
            monotonic=host.monotonic,
            draw_fraction=lambda: 0.5,
            draw_token=lambda: random.getrandbits(64) - 2**63,
        )

    @property
    def can_act(self) -> bool:
        """Whether it lives, is not frozen, and is not already inside its loop."""
        return self.is_alive and self.frozen_until <= self.host.clock.seconds

    @property
    def can_serve(self) -> bool:
        """Whether a lane of its store has something to ask, somebody to ask, and is not in the middle of it."""
        return self.can_act and self.store.next is not None and not self._database_is_away()

    @property
    def next_request(self) -> Request:
        """What is asked next; `can_serve` says whether there is anything."""
        lane = self.store.next
        assert lane is not None, "it can serve"  # noqa: S101
        return lane.waiting[0].request

    def step(self) -> None:
        """One step of the loop; an orderly end when that was the last one. Raises Violation when it raises anything."""
        if not self.can_act:
            return
        with self.host.told():
            try:
                self.worker.step(0)
                is_over = self.worker.finished
            except ConfigurationError:
                is_over = True  # another bears its id, and lives
            except Exception as error:
                raise Violation(Rule.LOOP, f"{self.actor.name}: {type(error).__name__}: {error}") from error
            if is_over:
                self._close()

    def serve(self, disturbance: Disturbance) -> None:
        """The store's next try at the oldest request."""
        lane = self.store.next
        assert lane is not None, "it can serve"  # noqa: S101
        asked = lane.waiting[0]
        with self.host.told(), suppress(Died):
            answer = void_answer(asked.request, self.host.monotonic() - asked.asked_s)
            if answer is None:
                with lane.session.lent(self.actor, self.host.clock.now(), disturbance) as session:
                    try:
                        answer = answer_once(asked.request, session, session.now)
                    except psycopg.Error:
                        return  # it stays the oldest, and is asked again
            if self.is_alive:
                lane.waiting.popleft()
                self.store.answers.append(answer)
                self.executor.claimed |= lane.session.claimed

    def freeze(self, seconds: float) -> None:
        """Nothing of the process runs for so long; its children do."""
        self.frozen_until = self.host.clock.seconds + seconds

    def drain(self, seconds: float) -> None:
        """It is told to end, and its runs have so long to end before it."""
        if self.can_act:
            self.worker.drain(seconds)

    def die(self) -> None:
        """Killed: its children die with it, its open transaction is rolled back, and nothing is said."""
        if self.is_alive:
            self.is_alive = False
            self.executor.executions.clear()
            self.store.holding.waiting.clear()
            self.store.intake.waiting.clear()
            self.worker.selector.close()
            for session in self.sessions:
                session.break_off(Died())

    def _close(self) -> None:
        self.worker.close()
        self.is_alive = False

    def _serve_rest(self) -> None:
        left = self.store.waiting + 1
        while self.store.waiting < left and self.can_serve:  # each try answers one, or is the last
            left = self.store.waiting
            self.serve(Disturbance())
