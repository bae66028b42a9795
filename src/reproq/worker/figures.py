"""What the loop tells of durations: gathered a batch at a time, and only when somebody listens."""

from collections.abc import Container, Sequence

from reproq.executors import Ended
from reproq.lifecycle import Key
from reproq.store.requests import ClaimAnswer
from reproq.telemetry.events import Measure, Telemetry


class Figures:
    """Claims, waits and executions. A wait ends when the task starts, which only the end of the attempt tells: until
    then the moment at which the run was due is kept, on this host's monotonic clock."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._due_s: dict[Key, float] = {}

    def claimed(self, answer: ClaimAnswer, submitted: Container[Key]) -> None:
        """A claim was answered, and of its runs the executor got those `submitted`: the others have no start to wait
        for. A claim that found nothing is a look, and would only flatter the others."""
        if not answer.claimed or not self._telemetry.measures:
            return
        self._telemetry.measure(Measure.CLAIM, [answer.took_seconds])
        for claimed in answer.claimed:
            if (key := claimed.claim.key) in submitted:
                self._due_s[key] = answer.began_s - claimed.waited_seconds

    def ended(self, batch: Sequence[Ended]) -> None:
        """Attempts ended. Those whose task never started waited for nothing."""
        if not batch or not self._due_s:
            return
        waits, executions = [], []
        for one in batch:
            due_s = self._due_s.pop(one.key, None)
            if due_s is not None and one.started_s is not None:
                waits.append(max(0.0, one.started_s - due_s))
                executions.append(max(0.0, one.ended_s - one.started_s))
        self._telemetry.measure(Measure.QUEUE_WAIT, waits)
        self._telemetry.measure(Measure.EXECUTION, executions)
