"""The duty of firing schedules: when to look, and what to tell. A worker has it beside its others, a beat alone.

Any number of loops may have it, since a tick is fired once whoever asks. Where nothing is scheduled it costs one
question an interval, which an index answers.
"""

from collections.abc import Iterator
from typing import Final

from reproq.store.periodic import (
    LATE_SECONDS,
    LATE_WITHOUT_BEAT_SECONDS,
    PRUNE_LIMIT,
    BeatAnswer,
    Fired,
    FirePeriodicTasks,
    PruneTicks,
    RefillLists,
)
from reproq.telemetry.events import Measure, Telemetry
from reproq.worker.duty import Duty

JUST_AFTER_SECONDS: Final = 0.001
"""A tick is due *at* its moment; asking a millisecond later finds it due."""
HELD_SECONDS: Final = 0.05
"""What is overdue and could not be fired is held by another scheduler, which is firing it: do not spin."""
QUEUED_SECONDS: Final = 1.0
"""How often it is asked whether a run has ended for which a tick waits."""
LISTS_SECONDS: Final = 10.0
"""Who only fills lists looks as often as this at least: a list of every second is 50 seconds long."""
NEVER: Final = float("inf")
FIRST_PRUNE_SECONDS: Final = 60.0
"""Old ticks are not what a process that lives for seconds is for."""
PRUNE_SECONDS: Final = 3600.0


class Ticking:
    """Moments are CLOCK_MONOTONIC. It looks when something is due, and at least once an interval: somebody may have
    added or changed a schedule. It does so while the loop `is_at_work`: registered, and not ending.

    One that does not `fire` only keeps the lists filled, for pg_cron."""

    def __init__(self, telemetry: Telemetry, interval_seconds: float, *, fires: bool = True) -> None:
        self._telemetry = telemetry
        self._interval_seconds = interval_seconds
        self._fires = fires
        self._looks = Duty()
        self._prunes = Duty(next_s=NEVER)
        self._trouble = ""
        self._is_overdue = False

    @property
    def awaited(self) -> bool:
        """Whether an answer is on its way."""
        return self._looks.asked_s is not None or self._prunes.asked_s is not None

    def moments(self, is_at_work: bool) -> Iterator[float]:
        """When `requests` next has something to ask."""
        if is_at_work:
            yield from (duty.next_s for duty in (self._looks, self._prunes) if duty.asked_s is None)

    def requests(self, now: float, is_at_work: bool) -> Iterator[FirePeriodicTasks | RefillLists | PruneTicks]:
        """What is due."""
        if not is_at_work:
            return
        if self._looks.is_due(now):
            self._looks.ask(now, self._interval_seconds)
            yield FirePeriodicTasks() if self._fires else RefillLists()
        if self._prunes.next_s is NEVER:
            self._prunes.next_s = now + FIRST_PRUNE_SECONDS
        if self._prunes.is_due(now):
            self._prunes.ask(now, PRUNE_SECONDS)
            yield PruneTicks()

    def hear(self, answer: BeatAnswer | int, now: float) -> set[str]:
        """Take in an answer; the queues that have new runs."""
        if isinstance(answer, int):
            self._prunes.asked_s = None
            if answer >= PRUNE_LIMIT:
                self._prunes.next_s = now
            return set()
        self._looks.asked_s = None
        self._looks.next_s = now + self._wait_seconds(answer)
        self._tell(answer)
        return {fired.queue_name for fired in answer.fired if fired.run_id is not None}

    def _wait_seconds(self, answer: BeatAnswer) -> float:
        is_due = answer.next_seconds is not None and answer.next_seconds <= 0
        if answer.is_full or (answer.fired and is_due):
            return 0.0
        if not self._fires:
            return min(self._interval_seconds, LISTS_SECONDS)
        wait = self._interval_seconds
        if answer.next_seconds is not None and not answer.trouble:
            until_due = HELD_SECONDS if answer.next_seconds <= 0 else answer.next_seconds + JUST_AFTER_SECONDS
            wait = min(wait, until_due)
        return min(wait, QUEUED_SECONDS) if answer.has_queued else wait

    def _tell(self, answer: BeatAnswer) -> None:
        for fired in answer.fired:
            tell_fired(self._telemetry, fired)
        if lags := [fired.lag_seconds for fired in answer.fired if fired.run_id is not None]:
            self._telemetry.measure(Measure.SCHEDULE_LAG, lags)
        for name, text in answer.faults.items():
            self._telemetry.emit("schedule.fault", schedule=name, fault=text, next="it is tried again every minute")
        if answer.trouble and answer.trouble != self._trouble:
            self._telemetry.emit("schedule.trouble", error=answer.trouble, next="the others may fire; asking again")
        self._trouble = answer.trouble
        self._tell_overdue(answer)
        if answer.fired or answer.next_seconds is not None:  # else nothing is scheduled
            self._telemetry.emit(
                "schedule.looked", fired=len(answer.fired), filled=answer.filled, next_s=answer.next_seconds
            )

    def _tell_overdue(self, answer: BeatAnswer) -> None:
        """Once, until all of them have been looked at."""
        late = LATE_SECONDS if self._fires else LATE_WITHOUT_BEAT_SECONDS
        is_overdue = answer.next_seconds is not None and answer.next_seconds < -late and not answer.is_partial
        if is_overdue and not self._is_overdue:
            why = "another session holds it" if self._fires else "nobody fires it; start reproq beat, or see pg_cron"
            self._telemetry.emit("schedule.overdue", reason=why, next="reproq status names it and asks again")
        self._is_overdue = is_overdue


def tell_fired(telemetry: Telemetry, fired: Fired) -> None:
    """What became of one tick."""
    due = fired.due_at.isoformat()
    if fired.run_id is None:
        then = "it waits for it" if fired.outcome == "queued" else "the tick is left out"
        why = "the run before has not finished"
        telemetry.emit(f"schedule.{fired.outcome}", schedule=fired.name, due=due, reason=why, next=then)
    else:
        telemetry.emit(
            f"schedule.{fired.outcome}", schedule=fired.name, due=due, run=fired.run_id, lag_seconds=fired.lag_seconds
        )
