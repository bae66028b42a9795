"""Producers and operators: what people do to runs, each in a transaction of its own."""

from collections.abc import Callable, Sequence

from psycopg import errors

from reproq.loadtest.simulation.clock import Clock
from reproq.loadtest.simulation.events import Enqueue
from reproq.loadtest.simulation.rules import PEOPLE
from reproq.loadtest.simulation.session import Disturbance, Session
from reproq.spec import make_spec
from reproq.store import interventions, runs
from reproq.store.statements import Cursor


class People:
    """Everybody who is no worker, on one connection. While the database is away they do nothing."""

    def __init__(self, session: Session, clock: Clock, database_is_away: Callable[[], bool]) -> None:
        self._session = session
        self._clock = clock
        self._database_is_away = database_is_away
        self._enqueued = 0

    def enqueue(self, event: Enqueue) -> None:
        """Enqueue one run."""
        self._enqueued += 1
        run = runs.NewRun(
            spec=make_spec("simulated.task", [self._enqueued], {}),
            nonce=self._enqueued,
            terms=runs.Terms(
                backend="simulation",
                queue_name=event.queue_name,
                priority=event.priority,
                delay_seconds=event.delay_seconds,
                max_attempts=event.max_attempts,
                backoff_seconds=(2.0, 6.0),
            ),
        )
        self._do(lambda cursor: runs.enqueue(cursor, run, self._clock.now()))

    def cancel(self, ids: Sequence[int]) -> None:
        """Cancel these runs by hand."""
        self._do(lambda cursor: interventions.cancel(cursor, ids, now=self._clock.now()))

    def retry(self, ids: Sequence[int]) -> None:
        """Retry these runs by hand."""
        self._do(lambda cursor: interventions.retry(cursor, ids, now=self._clock.now()))

    def _do(self, act: Callable[[Cursor], object]) -> None:
        if self._database_is_away():
            return
        try:
            with (
                self._session.lent(PEOPLE, self._clock.now(), Disturbance()) as session,
                session.transaction() as cursor,
            ):
                act(cursor)
        except errors.LockNotAvailable:
            pass  # they look again later
