"""What the worker takes in: from which queues, when it claims, and whether a burst has anything left."""

from collections.abc import Callable, Iterator
from typing import Final

from reproq.config import Config
from reproq.lifecycle import Failure, Kind, Outcome, Release, failure_of_kind
from reproq.store.claims import Claimed
from reproq.store.requests import AskWorkLeft, ClaimAnswer, ClaimRuns, ListQueues, Request
from reproq.store.workers import WorkerRow
from reproq.worker.duty import Duty

ALL_QUEUES: Final = ("*",)
QUEUE_REFRESH_SECONDS: Final = 10.0
BURST_HORIZON_SECONDS: Final = 60.0
"""A burst waits for runs that fall due within this time (retries, mostly), and leaves later ones alone."""
JUST_AFTER_SECONDS: Final = 0.001
"""A run is due *at* its moment; asking a millisecond later finds it due."""
EXPIRED: Final = failure_of_kind(Kind.EXPIRED, "no worker started the run before the moment by which it was to start")
AHEAD_OF_ITS_TURN: Final = Release("claimed ahead of its turn, which a run of one attempt must not be", started=False)
AHEAD_AGAIN_SECONDS: Final = 1.0
"""How long nothing is claimed ahead when such a run came: it would come again at once."""
MAX_CLAIM: Final = 500
TRIP_WEIGHT: Final = 0.3
MAX_UNKNOWN_PATHS: Final = 100
OVERDUE_SECONDS: Final = 0.05
"""When what is overdue could not be promoted, another transaction holds its row, perhaps for long: do not spin."""


class Intake:
    """Claims whenever there is room: at once after a full batch, else at the next due run or the next poll.

    The names that `*` stands for are asked again before every claim of an idle worker, every ten seconds of a busy one.
    """

    def __init__(self, config: Config, row: WorkerRow, draw_token: Callable[[], int]) -> None:
        self._config = config
        self._row = row
        self._draw_token = draw_token
        self._serves_all = config.queues == ALL_QUEUES
        self._queues = () if self._serves_all else config.queues
        self._claims = Duty()
        self._queue_list = Duty()
        self._work_check = Duty(next_s=float("inf"))
        self._unknown: dict[str, Failure] = {}
        self._due_s = float("-inf")  # from when on a run may be due for its promotion: at first, for all we know
        self._is_stale = False  # the claim on its way may have come too early for what we have heard since
        self._ahead_from_s = float("-inf")
        self.trip_seconds = 0.0
        """From asking for a claim to having its runs, of late: that long a process without work would wait."""

    @property
    def claiming(self) -> bool:
        """Whether a claim is on its way, so that runs may still arrive."""
        return self._claims.asked_s is not None

    def moments(self) -> Iterator[float]:
        """When `requests` next has something to ask."""
        duties = [self._work_check]
        if self._serves_all:
            duties.append(self._queue_list)
        if not self._names_are_coming:
            duties.append(self._claims)
        return (duty.next_s for duty in duties if duty.asked_s is None)

    @property
    def _names_are_coming(self) -> bool:
        """Whether a claim had better wait for the names of the queues."""
        return self._queue_list.asked_s is not None

    def room(self, running: int, ahead: int, now: float) -> int:
        """How many more runs to claim when so many run or wait to, and the executor wants so many ahead.

        What is held ahead is claimed in halves: a claim costs the same for one run as for ten.
        """
        if now < self._ahead_from_s:
            ahead = 0
        room = self._row.concurrency + ahead - running
        if running >= self._row.concurrency and 2 * room < ahead:
            return 0
        return max(0, min(room, MAX_CLAIM))

    def requests(self, now: float, room: int) -> Iterator[Request]:
        """What is due, when there is room for `room` more runs."""
        if self._work_check.is_due(now):
            self._work_check.ask(now, float("inf"))
            named = None if self._serves_all else self._queues
            yield AskWorkLeft(named, BURST_HORIZON_SECONDS, self._config.exclude_queues)
        if self._serves_all and self._queue_list.is_due(now):
            self._queue_list.ask(now, QUEUE_REFRESH_SECONDS)
            yield ListQueues()
        if self._claims.is_due(now) and not self._names_are_coming:  # without names, too: a claim promotes what is due
            self._claims.asked_s = now
            yield ClaimRuns(
                queues=self._queues,
                limit=room,
                draw_token=self._draw_token,
                worker_id=self._row.worker_id,
                lease_seconds=self._config.lease,
                unknown_paths=tuple(self._unknown),
                promotes=now >= self._due_s,
                asked_s=now,
            )

    def on_claimed(self, answer: ClaimAnswer, limit: int, now: float) -> None:
        """A full batch means that there is more: claim again as soon as there is room."""
        if answer.claimed and self._claims.asked_s is not None:
            self.trip_seconds += TRIP_WEIGHT * (now - self._claims.asked_s - self.trip_seconds)
        self._claims.asked_s = None
        until_due = self._until_due(answer)
        self._due_s = now + until_due
        if len(answer.claimed) == limit or self._is_stale:
            self._is_stale = False
            self._claims.next_s = now
            return
        wait_seconds = min(self._config.poll_interval, until_due)
        if self._serves_all and answer.promoted:
            wait_seconds = 0.0  # what was promoted may stand in a queue whose name we do not know yet
        self._claims.next_s = self._queue_list.next_s = now + wait_seconds

    def _until_due(self, answer: ClaimAnswer) -> float:
        """In how many seconds there may be something to promote."""
        seconds = answer.next_due_seconds
        if seconds is None:
            return float("inf")
        if seconds > 0 or answer.promoted:
            return max(seconds, 0.0) + JUST_AFTER_SECONDS
        return 0.0 if answer.promoted is None else OVERDUE_SECONDS

    def claim_again(self, now: float, in_seconds: float = 0.0) -> None:
        """Look sooner than at the next poll; what `*` stands for is asked again first."""
        self._is_stale = self._is_stale or (self.claiming and not in_seconds)
        self._claims.next_s = min(self._claims.next_s, now + in_seconds)
        if self._serves_all:
            self._queue_list.next_s = min(self._queue_list.next_s, now + in_seconds)

    def wake(self, queue_name: str, now: float) -> None:
        """A producer has enqueued for this queue (an empty name: for some queue)."""
        serves = self._serves_all and queue_name not in self._config.exclude_queues
        if serves or not queue_name or queue_name in self._queues:
            self.claim_again(now)

    def on_queues(self, names: list[str], now: float) -> None:
        """The queues that `*` stands for at this moment."""
        self._queue_list.asked_s = None
        self._queues = tuple(name for name in names if name not in self._config.exclude_queues)
        self._claims.next_s = min(self._claims.next_s, now)

    def learn_from(self, outcome: Outcome, claimed: Claimed | None, now: float) -> None:
        """A task that this worker's code does not know is left to others first from now on, and no child is started.
        `claimed` is None where code is imported anew for each run. After what was given back unbegun, look again."""
        match outcome:
            case Failure(kind=Kind.UNKNOWN_TASK) as unknown if claimed and len(self._unknown) < MAX_UNKNOWN_PATHS:
                self._unknown[claimed.payload.task_path] = unknown
            case Release(started=False):
                self.look_again(now)

    def refusal(self, claimed: Claimed, running: int, now: float) -> Failure | Release | None:
        """Why a claimed run is not started: it is overdue for too long, or its task is known to be unknown here, or it
        has one attempt and would have to wait: if this worker is lost it fails, and shall have been started then."""
        if claimed.expired:
            return EXPIRED
        if claimed.claim.max_attempts == 1 and running >= self._row.concurrency:
            self._ahead_from_s = now + AHEAD_AGAIN_SECONDS
            self.look_again(now)
            return AHEAD_OF_ITS_TURN
        return self._unknown.get(claimed.payload.task_path)

    def look_again(self, now: float) -> None:
        """Something was given back unbegun: claim as soon as there is room."""
        self._claims.next_s = min(self._claims.next_s, now)

    def check_work_left(self, now: float) -> None:
        """Ask whether anything is left: a burst found nothing to claim."""
        self._work_check.next_s = min(self._work_check.next_s, now)

    def on_work_left(self) -> None:
        """The answer came."""
        self._work_check.asked_s = None
