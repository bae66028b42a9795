"""What the simulation has found, each as the history that showed it."""

from reproq.loadtest.simulation.events import Arrive, End, Enqueue, Event, Fault, How, Pass, Strike, Work
from reproq.loadtest.simulation.history import QUEUES, History
from reproq.loadtest.simulation.run import play, told
from reproq.loadtest.simulation.session import Sessions


def _play(sessions: Sessions, *events: Event) -> str:
    """The violation of a history of two workers, told; empty when there is none."""
    played = play(History(0, ("w0", "w1"), QUEUES, 2, (), events), sessions)
    return "\n".join(told(played)) if played.violation else ""


def test_a_claim_that_arrives_long_after_it_was_asked_again_is_fenced_from_its_twin(sessions: Sessions) -> None:
    """The claim is asked, hangs in the server, and is asked again; that run fails, and is stored as to be retried. The
    first claim arrives and takes the run; then the end is asked to be stored again, for its answer was lost."""
    violation = _play(
        sessions,
        Enqueue("default", 0, None, 3),
        Strike("ClaimRuns", Fault.LATE),
        Work(0),
        Work(0),
        End(0, 0, How.RAISES),
        Strike("FinalizeRuns", Fault.ANSWER_LOST),
        Work(0),
        Pass(3.0),
        Arrive(0),
        Work(0),
    )
    assert not violation, violation
