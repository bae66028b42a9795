"""Strikes: makes each fault of a plan real, and counts it only when it has hit something."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg

from tests.acceptance.chaos.plan import LEASE_SECONDS, Blow, Event
from tests.acceptance.chaos.world import World, wait_until
from tests.store.conversation import Said

DELAY_SECONDS = 0.15
VICTIM_SECONDS = 10.0
"""How long a kill waits for its worker to hold a run."""
STOPPED_SECONDS = 0.05
"""How long what a worker has asked before it was stopped may take to be done."""
LOST_ANSWERS = {
    Blow.LOSE_CLAIM: Said.CLAIM,
    Blow.LOSE_FINALIZE: Said.FINALIZE,
    Blow.LOSE_ENQUEUE: Said.ENQUEUE,
}
WISHES_SECONDS = 60.0
"""How long answers that are to be lost are waited for when the schedule has ended: on a laden machine a worker that was
just killed takes ten seconds and more until it claims again."""
AGAIN_SECONDS = 0.4
MOST_TRIES = 25
"""How often a fault is tried that finds nothing to hit: a worker that just starts, a server that is away."""
REGISTERED = "SELECT count(*) FROM reproq_workers WHERE pid = %s"
HELD = "SELECT count(*) FROM task_runs WHERE worker_id = (SELECT worker_id FROM reproq_workers WHERE pid = %s LIMIT 1)"
SOME_BACKEND = (
    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    " AND datname = current_database() ORDER BY backend_start DESC LIMIT 1"
)
TERMINATE = (
    "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = current_database()"
)

type Later = tuple[float, Callable[[], "Later | None"]]
"""In how many seconds something is to happen, and what."""


class Faults:
    """`hits` counts what has really hit. What the proxies lose counts itself."""

    def __init__(self, world: World) -> None:
        self.hits: Counter[Blow] = Counter()
        self.crashes = 0
        """How often the server lost what it had not written: claims may be forgotten."""
        self._world = world

    def strike(self, event: Event, tries: int = 0) -> Later | None:
        """Make it happen; returns what is to happen later: its end, or another try where there was nothing to hit."""
        if (undo := self._begin(event)) is not None:
            return undo
        if event.blow in LOST_ANSWERS or self._hit_now(event):
            return None
        return (AGAIN_SECONDS, lambda: self.strike(event, tries + 1)) if tries < MOST_TRIES else None

    def _begin(self, event: Event) -> Later | None:
        """Faults that last."""
        match event.blow:
            case Blow.PAUSE_WORKER:
                return self._pause(event)
            case Blow.DELAY:
                return self._delay(event)
            case Blow.RESTART_FAST | Blow.RESTART_IMMEDIATE:
                return self._restart(event)
            case blow if blow in LOST_ANSWERS:
                self._lose(event)
        return None

    def _hit_now(self, event: Event) -> bool:
        """Faults that are over at once; whether there was something to hit."""
        worker = self._world.workers[event.worker]
        match event.blow:
            case Blow.KILL_WORKER:
                has_hit = self._kill(event.worker)
            case Blow.REPLACE_WORKER:
                has_hit = self._replace(event.worker)
            case Blow.CUT:
                has_hit = worker.proxy.cut() > 0
            case Blow.SILENCE:
                has_hit = worker.proxy.silence(event.seconds) > 0
            case Blow.TERMINATE:
                has_hit = bool(self._world.one(TERMINATE))
            case Blow.RESTART_FAST | Blow.RESTART_IMMEDIATE:
                has_hit = False  # another has stopped the server, and will start it
            case _:
                has_hit = self._kill_backend()
        self.hits[event.blow] += has_hit
        return has_hit

    def lost_answers(self) -> Counter[Said]:
        """The answers that the proxies have swallowed."""
        return sum((proxy.lost for proxy in self._world.proxies()), Counter())

    def stop(self) -> None:
        """No more of it. Work goes on until the answers that are to be lost have been, or their time is over."""
        wait_until(WISHES_SECONDS, lambda: not any(proxy.wishes for proxy in self._world.proxies()))
        for proxy in self._world.proxies():
            proxy.delay_seconds = 0.0
            proxy.forget_wishes()
        for said, number in self.lost_answers().items():
            self.hits[next(blow for blow, lost in LOST_ANSWERS.items() if lost is said)] = number

    # -- workers ------------------------------------------------------------------------------------------------------

    def _kill(self, number: int) -> bool:
        """Best while it holds a run, which is waited for, but not for long. Most runs are over in no time: who seems to
        hold one is stopped, and looked at again."""
        process = self._process(number)
        if not self._is_at_work(process):
            return False

        def stopped_with_a_run() -> bool:
            if not self._world.one(HELD, process.pid):
                return False
            process.send_signal(signal.SIGSTOP)
            time.sleep(STOPPED_SECONDS)
            if holds := bool(self._world.one(HELD, process.pid)):
                return holds
            process.send_signal(signal.SIGCONT)
            return holds

        wait_until(VICTIM_SECONDS, stopped_with_a_run)
        process.kill()
        process.wait()
        self._world.start_worker(number)
        return True

    def _pause(self, event: Event) -> Later:
        process = self._process(event.worker)
        process.send_signal(signal.SIGSTOP)
        stopped_s = time.monotonic()

        def go_on() -> None:
            has_hit = process.poll() is None and time.monotonic() - stopped_s > LEASE_SECONDS
            self.hits[event.blow] += has_hit
            process.send_signal(signal.SIGCONT)

        return event.seconds, go_on

    def _replace(self, number: int) -> bool:
        """As a deploy does; the old one ends while the new one works."""
        process = self._process(number)
        if not self._is_at_work(process):
            return False
        process.send_signal(signal.SIGTERM)
        self._world.leave(process)
        self._world.start_worker(number)
        return True

    def _is_at_work(self, process: "subprocess.Popen[bytes]") -> bool:
        return bool(self._world.one(REGISTERED, process.pid))

    def _process(self, number: int) -> "subprocess.Popen[bytes]":
        process = self._world.workers[number].process
        assert process is not None
        return process

    # -- the network --------------------------------------------------------------------------------------------------

    def _delay(self, event: Event) -> Later:
        proxy = self._world.workers[event.worker].proxy
        before = proxy.delayed
        proxy.delay_seconds = DELAY_SECONDS

        def hurry() -> None:
            proxy.delay_seconds = 0.0
            self.hits[event.blow] += proxy.delayed > before

        return event.seconds, hurry

    def _lose(self, event: Event) -> None:
        doors = self._world.doors
        if event.blow is Blow.LOSE_ENQUEUE:
            proxy = doors[event.worker % len(doors)]
        else:
            proxy = self._world.workers[event.worker].proxy
        proxy.lose_answer(LOST_ANSWERS[event.blow])

    # -- the server ---------------------------------------------------------------------------------------------------

    def _restart(self, event: Event) -> Later | None:
        immediate = event.blow is Blow.RESTART_IMMEDIATE
        if not self._world.server.stop("immediate" if immediate else "fast"):
            return None
        self.crashes += immediate

        def start() -> None:
            self._world.server.start()
            self.hits[event.blow] += 1

        return event.seconds, start

    def _kill_backend(self) -> bool:
        """The server ends all its sessions and recovers, as after every crash of one of its processes."""
        pid = self._world.one(SOME_BACKEND)
        if pid is None:
            return False
        with suppress(psycopg.OperationalError), self._world.ask() as cursor:
            os.kill(pid, signal.SIGKILL)
            self.crashes += 1
            return wait_until(5.0, lambda: not _lives(cursor))
        return False


def _lives(cursor: psycopg.Cursor[Any]) -> bool:
    """Whether our own session goes on: a server that recovers has ended it, too."""
    try:
        cursor.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
