"""The end of a history: faults stop, and everything must come to its end, soon."""

from typing import Final

from reproq.lifecycle import Status
from reproq.loadtest.simulation.rules import Row, Rule, Violation
from reproq.loadtest.simulation.world import HEARTBEAT_SECONDS, LEASE_SECONDS, World

MAX_ROUNDS: Final = 80
RESCUED_WITHIN_SECONDS: Final = 2 * LEASE_SECONDS + 2 * HEARTBEAT_SECONDS
"""How long a claim may outlive its lease while workers live: a lease of contact, a third of one between two rescues,
and the rounds in which the calm passes."""


def calm_down(world: World) -> None:
    """Stop the faults and wait for the last run. Raises Violation when it does not finish."""
    world.stop_faults()
    began = world.clock.seconds
    for _ in range(MAX_ROUNDS):
        world.end_executions()
        world.round()
        unfinished = [row for row in world.ledger.state.rows.values() if not row.is_finished]
        if not unfinished:
            return
        _look_for_the_forgotten(world, unfinished, began)
        _skip_to_what_is_due(world, unfinished)
    left = ", ".join(f"run {row.id} is {row.status}" for row in unfinished)
    raise Violation(Rule.ENDS, f"after {world.clock.seconds - began:g} s of calm: {left}")


def _look_for_the_forgotten(world: World, unfinished: list[Row], began: float) -> None:
    for row in unfinished:
        if row.lease_expires_at is None:
            continue
        expired_seconds = (world.clock.now() - row.lease_expires_at).total_seconds()
        if min(expired_seconds, world.clock.seconds - began) > RESCUED_WITHIN_SECONDS:
            raise Violation(Rule.RESCUED, f"run {row.id} is RUNNING, its lease has run out {expired_seconds:g} s ago")


def _skip_to_what_is_due(world: World, unfinished: list[Row]) -> None:
    if all(row.status == Status.SCHEDULED for row in unfinished):
        wait_seconds = min((row.due_at - world.clock.now()).total_seconds() for row in unfinished)
        world.clock.advance(max(0.0, wait_seconds // 1 + 1))
