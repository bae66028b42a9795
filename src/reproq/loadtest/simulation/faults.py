"""What a fault does to one request, as a disturbance of its session."""

from collections.abc import Callable

from reproq.loadtest.simulation.events import Fault
from reproq.loadtest.simulation.process import Died, Process
from reproq.loadtest.simulation.session import Disturbance, lost


def disturbance(fault: Fault, boundary: int, process: Process) -> Disturbance:
    """The disturbance for the next request of a process, which strikes before its statement number `boundary`."""
    match fault:
        case Fault.CUT:
            return Disturbance(boundary, _raises(lambda: lost("cut")))
        case Fault.ANSWER_LOST:
            return Disturbance(afterwards=_raises(lambda: lost("the answer")))
        case Fault.DIED_BEFORE:
            return Disturbance(boundary, _kills(process))
        case Fault.DIED_AFTER:
            return Disturbance(afterwards=_kills(process))
    return Disturbance()


def _raises(error: Callable[[], BaseException]) -> Callable[[], None]:
    def act() -> None:
        raise error()

    return act


def _kills(process: Process) -> Callable[[], None]:
    def act() -> None:
        process.die()
        raise Died

    return act
