"""What was committed, in order: it asks the rules about every commit, and knows what a crash of the database forgets.

PostgreSQL writes commits to one log. A commit that waits for the disk takes all earlier ones with it, so a crash
forgets a tail of those that did not wait, since the last one that did.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from itertools import count
from typing import Final

from reproq.lifecycle import Key, Status
from reproq.loadtest.simulation.rules import (
    PEOPLE,
    Actor,
    Bounds,
    Holding,
    Known,
    Row,
    check,
    check_count,
    check_forgotten,
    check_new,
)


@dataclass(frozen=True, slots=True)
class Commit:
    """One transaction that wrote: whose, at which time, whether it waited for the disk, and the rows after it."""

    actor: Actor
    now: datetime
    is_durable: bool
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class State:
    """The table between two commits, and what the rules know of each run."""

    rows: Mapping[int, Row]
    known: Mapping[int, Known]


EMPTY: Final = State({}, {})


class Ledger:
    """The commits of one history."""

    def __init__(self, bounds: Bounds) -> None:
        self.state = EMPTY
        self._bounds = bounds
        self._durable = EMPTY
        self._volatile: list[State] = []
        self._serials = count(1)
        self._digest = sha256()

    @property
    def digest(self) -> str:
        """A hash over the rows after every commit: two histories with the same one were the same."""
        return self._digest.hexdigest()

    @property
    def forgettable(self) -> int:
        """How many commits a crash may forget now."""
        return len(self._volatile)

    def add(self, commit: Commit) -> dict[Key, int]:
        """Judge a commit; returns what it claimed, each with the serial of its execution. Raises Violation."""
        self._digest.update(f"{commit.actor.name} {commit.now.isoformat()} {commit.is_durable}".encode())
        rows = {row.id: row for row in commit.rows}
        known = dict(self.state.known)
        claimed: dict[Key, int] = {}
        for run_id in self.state.rows.keys() - rows.keys():
            check_forgotten({run_id: self.state.rows[run_id]}, rows)  # a row that vanished
        for row in commit.rows:
            old = self.state.rows.get(row.id)
            if old is None:
                check_new(row, commit.actor)
                known[row.id] = Known()
            elif row.image != old.image:
                check(old, row, known[row.id], commit.actor, commit.now, self._bounds)
                known[row.id] = self._learn(old, row, known[row.id], commit.actor)
                if (held := known[row.id].held) is not None and old.status != Status.RUNNING:
                    claimed[row.id, row.token or 0] = held.serial
            else:
                continue
            check_count(row, known[row.id])
            self._digest.update(row.observable.encode())
        self._settle(State(rows, known), commit.is_durable)
        return claimed

    def crash(self, forgotten: int) -> list[Row]:
        """The database crashed and forgot this many of its newest commits, as far as they did not wait for the disk.

        Returns the rows to put back. Raises Violation when more than claims is lost.
        """
        states = [self._durable, *self._volatile]
        survivor = states[max(0, len(states) - 1 - forgotten)]
        before = self.state
        check_forgotten(before.rows, survivor.rows)
        self._settle(survivor, is_durable=True)
        changed = [row for row in survivor.rows.values() if row.image != before.rows[row.id].image]
        self._digest.update(f"crash {[row.id for row in changed]}".encode())
        return changed

    def _settle(self, state: State, is_durable: bool) -> None:
        self.state = state
        if is_durable:
            self._durable = state
            self._volatile.clear()
        else:
            self._volatile.append(state)

    def _learn(self, old: Row, new: Row, known: Known, actor: Actor) -> Known:
        """What is known of a run after a lawful change."""
        match old.status == Status.RUNNING, new.status == Status.RUNNING:
            case False, True:
                return replace(known, claims=known.claims + 1, held=Holding(next(self._serials), actor))
            case True, False:
                return replace(known, claims=known.claims - (old.attempts - new.attempts), held=None)
        if actor == PEOPLE and old.is_finished:
            return replace(known, forgiven=old.attempts - old.releases)
        return known
