"""How an execution ends, as the executor would report it. Every end names the execution, so that the rules can tell
whose end was stored."""

from typing import Final

from reproq.lifecycle import EXCEPTION_CLASSES, Failure, Kind, Outcome, Release, Success
from reproq.loadtest.simulation.events import How
from reproq.loadtest.simulation.rules import told_by

KINDS: Final = {
    How.RAISES: Kind.EXCEPTION,
    How.TIMES_OUT: Kind.TIMEOUT,
    How.DIES: Kind.CHILD_DIED,
    How.UNKNOWN: Kind.UNKNOWN_TASK,
}


def outcome(how: How, serial: int) -> Outcome:
    """The outcome of execution `serial`."""
    text = told_by(serial)
    match how:
        case How.SUCCEEDS:
            return Success(f'"{text}"')
        case How.UNSTORABLE:
            return Success(f'"{text}')  # no JSON: the database refuses it
        case How.GIVEN_BACK:
            return Release(text, started=True)
    kind = KINDS[how]
    return Failure(kind, EXCEPTION_CLASSES.get(kind, "builtins.RuntimeError"), text)
