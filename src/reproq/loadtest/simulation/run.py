"""Plays histories, one after the other, and tells how each went."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from reproq.errors import ConfigurationError
from reproq.loadtest.simulation.calm import calm_down
from reproq.loadtest.simulation.events import Event, line
from reproq.loadtest.simulation.history import History, draw
from reproq.loadtest.simulation.rules import Violation
from reproq.loadtest.simulation.session import Sessions, sql
from reproq.loadtest.simulation.shrink import shrink
from reproq.loadtest.simulation.world import World
from reproq.store.db import address, opened

STEPS: Final = 60


@dataclass(frozen=True, slots=True)
class Played:
    """How a history went. Two of the same digest went the same way, commit by commit."""

    history: History
    digest: str
    happened: int
    """How many of its events began before it ended."""
    violation: Violation | None


@contextmanager
def scratch(dsn: str) -> Iterator[Sessions]:
    """The sessions for a database that is ours alone. Raises ConfigurationError when it holds runs."""
    sessions = Sessions(dsn)
    with opened(dsn, "reproq simulate") as database:
        with database.transaction() as cursor:
            is_empty, is_ours = cursor.execute(sql("guard")).fetchone() or (False, False)
        if not is_empty:
            raise ConfigurationError(
                f"the database {address(dsn)} holds runs, and a simulation needs one without: leave --dsn out to "
                "have one made, or name an empty one that is migrated"
            )
        if not is_ours:
            raise ConfigurationError(f"another simulation uses the database {address(dsn)}; name another one")
        try:
            yield sessions
        finally:
            sessions.clear()
            sessions.close()
            with database.transaction() as cursor:
                cursor.execute(sql("unguard"))


def play(history: History, sessions: Sessions) -> Played:
    """Play one history to its end, or to its first violation."""
    world = World(history, sessions)
    violation = None
    try:
        world.happen()
        calm_down(world)
    except Violation as found:
        violation = found
    finally:
        world.end()
    return Played(history, world.ledger.digest, world.happened, violation)


def simulate(seeds: Iterable[int], sessions: Sessions, steps: int = STEPS) -> Iterator[Played]:
    """The histories of these seeds, one by one."""
    return (play(draw(seed, steps), sessions) for seed in seeds)


def shrunk(played: Played, sessions: Sessions) -> Played:
    """The same violation in the shortest history that was found to lead to it."""

    def fails(events: tuple[Event, ...]) -> bool:
        again = play(replace(played.history, events=events), sessions)
        return (
            again.violation is not None
            and played.violation is not None
            and again.violation.rule == played.violation.rule
        )

    events = shrink(played.history.events[: played.happened], fails)
    return play(replace(played.history, events=events), sessions)


def told(played: Played) -> list[str]:
    """A history for people: who there was, what happened, and what went wrong."""
    history = played.history
    settings = " ".join(f"{name}={value}" for name, value in history.settings) or "its own"
    return [
        f"seed {history.seed}: workers {' '.join(history.worker_ids)}, each of {history.concurrency} at once, "
        f"queues {','.join(history.queues)}, planner settings: {settings}",
        *(f"  {number:3} {line(event)}" for number, event in enumerate(history.events, start=1)),
        f"violation: {played.violation}" if played.violation else f"no violation; digest {played.digest}",
    ]
