"""The world of one history: it makes the events happen to real workers over the real SQL.

Every commit is judged by the ledger as it happens, wherever it comes from.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

import psycopg

from reproq.config import Config
from reproq.lifecycle import Key
from reproq.loadtest.simulation.clock import Clock, HostClock
from reproq.loadtest.simulation.ends import outcome
from reproq.loadtest.simulation.events import (
    Ambush,
    Arrive,
    Calm,
    Cancel,
    Crash,
    Drain,
    End,
    Enqueue,
    Event,
    Fault,
    Freeze,
    How,
    Kill,
    Outage,
    Pass,
    Retry,
    Serve,
    Start,
    Step,
    StepClock,
    Strike,
    Work,
)
from reproq.loadtest.simulation.faults import disturbance
from reproq.loadtest.simulation.history import History
from reproq.loadtest.simulation.ledger import Ledger
from reproq.loadtest.simulation.people import People
from reproq.loadtest.simulation.process import Process
from reproq.loadtest.simulation.rules import Actor, Bounds, Rule, Violation
from reproq.loadtest.simulation.session import Disturbance, Sessions, lost
from reproq.retention import KEEP_ALL
from reproq.store.requests import Request

LEASE_SECONDS: Final = 30.0
HEARTBEAT_SECONDS: Final = 10.0
MAX_RELEASES: Final = 2
ROUND_SECONDS: Final = 9.0
"""Of calm, between two looks at what is due: within a heartbeat, so that contact stays unbroken."""
MAX_TURNS: Final = 12
"""Of a worker that does all that is due at one moment; more would be a loop that spins."""


class World:
    """Make one, let its events `happen`, then `calm.calm_down`; `end` it in any case."""

    def __init__(self, history: History, sessions: Sessions) -> None:
        self.clock = Clock()
        self.ledger = Ledger(Bounds(MAX_RELEASES))
        self._history = history
        self._sessions = sessions
        self._pending: deque[Event] = deque(history.events)
        self._hosts = [HostClock(self.clock, 1000.0 * place) for place in range(len(history.worker_ids))]
        self._processes: list[Process | None] = [None] * len(history.worker_ids)
        self._on_their_way: list[tuple[Actor, str, Request]] = []
        self._armed: dict[str, Ambush | Strike] = {}
        self._holds = 0
        self._away_until = 0.0
        self._lives = 0
        self._config = Config(
            queues=history.queues,
            concurrency=history.concurrency,
            lease=LEASE_SECONDS,
            heartbeat=HEARTBEAT_SECONDS,
            poll_interval=HEARTBEAT_SECONDS,
            max_releases=MAX_RELEASES,
            retention=KEEP_ALL,  # a history lasts minutes
            beat=False,
        )
        sessions.begin_history(dict(history.settings), self.ledger.add)
        sessions.clear()
        self._people = People(sessions.take("people"), self.clock, self._is_away)

    def happen(self) -> None:
        """All events of the history. Raises Violation."""
        for place in range(len(self._processes)):
            self._start(place)
        while self._pending:
            self._happen(self._pending.popleft())

    @property
    def happened(self) -> int:
        """How many events have begun."""
        return len(self._history.events) - len(self._pending)

    def end(self) -> None:
        """Nobody lives on."""
        for process in self._living():
            process.die()

    # -- events -------------------------------------------------------------------------------------------------------

    def _happen(self, event: Event) -> None:
        match event:
            case Step(worker):
                self._with(worker, Process.step)
            case Work(worker):
                self._with(worker, self._work)
            case Ambush(request) | Strike(request):
                self._armed[request] = event
            case Serve(worker, fault, boundary):
                self._with(worker, lambda process: self._serve(process, fault, boundary))
            case End(worker, pick, how):
                self._with(worker, lambda process: self._end(process, pick, how))
            case Kill(worker):
                self._with(worker, Process.die)
            case Freeze(worker, seconds):
                self._with(worker, lambda process: process.freeze(seconds))
            case Drain(worker, seconds):
                self._with(worker, lambda process: process.drain(seconds))
            case Start(worker):
                self._start(worker)
            case StepClock(worker, seconds):
                self._hosts[worker].error_seconds += seconds
            case Calm(heartbeats):
                for _ in range(heartbeats):
                    self.round()
            case Pass(seconds):
                self.clock.advance(seconds)
            case Outage(seconds):
                self._away_until = max(self._away_until, self.clock.seconds + seconds)
                self._break_off("the database is away")
            case Crash(forgotten):
                self._crash(forgotten)
            case Arrive(pick):
                self._arrive(pick)
            case Enqueue():
                self._people.enqueue(event)
            case Cancel(pick):
                self._people.cancel(self._picked(pick))
            case Retry(pick):
                self._people.retry(self._picked(pick))

    def _picked(self, pick: int) -> list[int]:
        ids = sorted(self.ledger.state.rows)
        return [ids[pick % len(ids)]] if ids else []

    def _with(self, place: int, act: Callable[[Process], object]) -> None:
        process = self._processes[place]
        if process is not None and process.is_alive:
            act(process)

    def _living(self) -> list[Process]:
        return [process for process in self._processes if process is not None and process.is_alive]

    # -- workers ------------------------------------------------------------------------------------------------------

    def _start(self, place: int) -> None:
        before = self._processes[place]
        if before is not None:
            if before.is_alive:
                return
            for session in before.sessions:
                self._sessions.give_back(session)
        self._lives += 1
        worker_id = self._history.worker_ids[place]
        actor = Actor(f"{worker_id}#{self._lives}", self._lives)
        sessions = self._sessions.take(worker_id), self._sessions.take(worker_id)
        self._processes[place] = Process(self._config, worker_id, actor, self._hosts[place], sessions, self._is_away)

    def _work(self, process: Process) -> None:
        """Step and serve until nothing is left to do now, or somebody else's transaction is in the way."""
        for _ in range(MAX_TURNS):
            process.step()
            if not process.can_serve:
                return
            while process.can_serve:
                waiting = process.store.waiting
                self._serve_next(process)
                if process.store.waiting == waiting:
                    return
        if not self._holds:
            raise Violation(Rule.LOOP, f"{process.actor.name} asks again and again, and no time passes")

    def _serve_next(self, process: Process) -> None:
        match self._armed.pop(type(process.next_request).__name__, None):
            case None:
                process.serve(Disturbance())
            case Ambush(_, boundary, events):
                process.serve(Disturbance(boundary, lambda: self._meanwhile(events)))
            case Strike(_, fault, boundary):
                self._serve(process, fault, boundary)

    def _meanwhile(self, events: int) -> None:
        self._holds += 1
        try:
            for _ in range(events):
                if self._pending:  # what happens may have held another request, and taken events, too
                    self._happen(self._pending.popleft())
        finally:
            self._holds -= 1

    def _serve(self, process: Process, fault: Fault, boundary: int) -> None:
        """The oldest request meets this fault; it stays the oldest unless its answer comes."""
        if not process.can_serve:
            return
        if fault is Fault.LATE:
            self._on_their_way.append((process.actor, process.worker_id, process.next_request))
        else:
            process.serve(disturbance(fault, boundary, process))

    def _end(self, process: Process, pick: int, how: How) -> None:
        keys = list(process.executor.executions)
        if keys:
            self._end_one(process, keys[pick % len(keys)], how)

    def _end_one(self, process: Process, key: Key, how: How) -> None:
        execution = process.executor.executions[key]
        asked = execution.stop if how is not How.SUCCEEDS else None  # what was done within the grace is not thrown away
        process.executor.end(key, asked or outcome(how, execution.serial), has_begun=how is not How.GIVEN_BACK)

    # -- the database -------------------------------------------------------------------------------------------------

    def _is_away(self) -> bool:
        return self.clock.seconds < self._away_until

    def _break_off(self, why: str) -> None:
        for session in self._sessions.taken():
            session.break_off(lost(why))

    def _crash(self, forgotten: int) -> None:
        self._break_off("the database crashed")
        self._on_their_way.clear()  # the sessions that they were on their way to are gone
        self._sessions.put_back(self.ledger.crash(forgotten))

    def _arrive(self, pick: int) -> None:
        if self._is_away() or not self._on_their_way:
            return
        actor, worker_id, request = self._on_their_way.pop(pick % len(self._on_their_way))
        session = self._sessions.take(worker_id)
        try:
            with session.lent(actor, self.clock.now(), Disturbance()):
                request.run(session, self.clock.now())
        except psycopg.Error:
            pass  # nobody hears it
        finally:
            self._sessions.give_back(session)

    # -- calm ---------------------------------------------------------------------------------------------------------

    def round(self) -> None:
        """Everybody who lives does what is due, and time passes, less than a heartbeat."""
        for process in self._living():
            self._work(process)
        self.clock.advance(ROUND_SECONDS)

    def stop_faults(self) -> None:
        """What was on its way arrives, who sleeps wakes up, and in every place somebody lives."""
        self._armed.clear()
        self._away_until = 0.0
        while self._on_their_way:
            self._arrive(0)
        for place in range(len(self._processes)):
            self._with(place, lambda process: process.freeze(0.0))
            self._start(place)

    def end_executions(self) -> None:
        """Whatever is at work succeeds, or ends as it was told to."""
        for process in self._living():
            for key in list(process.executor.executions):
                self._end_one(process, key, How.SUCCEEDS)
