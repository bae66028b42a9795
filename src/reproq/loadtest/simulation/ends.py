"""How an execution ends, as the executor would report it. An end names its execution, so that the rules can tell whose
end was stored."""

from typing import Final

from reproq.lifecycle import EXCEPTION_CLASSES, Failure, Kind, Outcome, Release, Success, failure_of_kind
from reproq.loadtest.simulation.events import How
from reproq.loadtest.simulation.rules import told_by

KINDS: Final = {
    How.RAISES: Kind.EXCEPTION,
    How.TIMES_OUT: Kind.TIMEOUT,
    How.DIES: Kind.CHILD_DIED,
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
        case How.UNKNOWN:  # a worker may say so of a run that it never started: this end names no execution
            return failure_of_kind(Kind.UNKNOWN_TASK, "the project has no task of this path")
    kind = KINDS[how]
    return Failure(kind, EXCEPTION_CLASSES.get(kind, "builtins.RuntimeError"), text)
