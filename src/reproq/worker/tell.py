"""What the loop tells of the ends of runs: one event each, saying what happened and what happens next."""

from typing import Protocol

from reproq.error_lines import error_text
from reproq.executors import Ended
from reproq.lifecycle import Key, Status
from reproq.store.claims import Claimed
from reproq.store.ends import FinalizeAnswer
from reproq.store.finalising import Finalisation
from reproq.store.holders import Holder
from reproq.store.rescues import RefusedRescue, Rescued
from reproq.telemetry.events import Telemetry


class Noticing(Protocol):
    """Whoever collects sentences for the log."""

    def take_notices(self) -> list[str]: ...


def tell_claimed(telemetry: Telemetry, claimed: Claimed) -> None:
    """A run that starts."""
    if not telemetry.is_heard("run.claimed"):
        return
    claim, payload = claimed.claim, claimed.payload
    waited = claimed.waited_seconds
    telemetry.emit("run.claimed", id=claim.run_id, task=payload.task_path, attempt=claim.attempt, waited_seconds=waited)


def tell_stored(telemetry: Telemetry, item: Finalisation, answer: FinalizeAnswer) -> None:
    """What became of an end that was to be stored."""
    key = item.key
    if not answer.refused and answer.stored.get(key) is Status.SUCCESSFUL:
        _tell_success(telemetry, item)
    elif key in answer.refused:
        then = "it is stored as failed" if key in answer.stored else "its lease brings it back"
        telemetry.emit("run.return_refused", id=key[0], task=item.task_path, reason=answer.refused[key], next=then)
    elif key in answer.stored:
        _tell_end(telemetry, item, answer.stored[key])
    else:
        tell_discarded(telemetry, key[0], "its claim had passed to another")


def _tell_end(telemetry: Telemetry, item: Finalisation, status: Status) -> None:
    """An end that is stored; `status` is what the run became, which a request to cancel it may have changed."""
    verdict, error = item.verdict, item.verdict.error
    match status:
        case Status.CANCELLED:
            telemetry.emit("run.cancelled", id=item.run_id, task=item.task_path)
        case Status.SUCCESSFUL:
            _tell_success(telemetry, item)
        case Status.READY:
            telemetry.emit("run.released", id=item.run_id, task=item.task_path, reason=verdict.waiting_reason)
        case Status.SCHEDULED if error:
            wait, said = verdict.delay_seconds, error_text(error.kind, error.exception_class, error.message)
            telemetry.emit(
                "run.retried", id=item.run_id, task=item.task_path, kind=error.kind, error=said, retry_in_seconds=wait
            )
        case _ if error:
            task, said = item.task_path, error_text(error.kind, error.exception_class, error.message)
            telemetry.emit("run.failed", id=item.run_id, task=task, status=status, kind=error.kind, error=said)


def _tell_success(telemetry: Telemetry, item: Finalisation) -> None:
    elapsed = None if item.started_s is None or item.ended_s is None else item.ended_s - item.started_s
    telemetry.emit("run.succeeded", id=item.run_id, task=item.task_path, seconds=elapsed)


def tell_held_up(telemetry: Telemetry, key: Key, task: str | None, holder: Holder, *, has_ended: bool) -> None:
    """A lease or an end that cannot be written yet. Said once, however often it is tried."""
    what = "its end is stored" if has_ended else "its lease is renewed"
    ways = f" ({holder.remedy})" if holder.remedy else ""
    then = f"{what} when that transaction is over{ways}; other runs are not held up"
    telemetry.emit("run.held_up", id=key[0], task=task, by=str(holder), next=then)


def tell_freed(telemetry: Telemetry, key: Key, task: str | None, seconds: float) -> None:
    """Nobody holds the row any more."""
    telemetry.emit("run.freed", id=key[0], task=task, held_up_seconds=seconds)


def tell_output(telemetry: Telemetry, ended: Ended, claimed: Claimed | None) -> None:
    """That an attempt printed something, which is stored with its end; `claimed` is None if its claim was lost."""
    if ended.output.bytes_total:
        run_id, task = ended.key[0], claimed and claimed.payload.task_path
        see = f"reproq runs logs {run_id}"
        telemetry.emit("run.printed", id=run_id, task=task, bytes=ended.output.bytes_total, see=see)


def tell_discarded(telemetry: Telemetry, run_id: int, reason: str) -> None:
    """An end that nobody stores, because the claim is no longer ours."""
    telemetry.emit("run.outcome_discarded", id=run_id, reason=reason, next="whoever claimed it decides")


def tell_notices(telemetry: Telemetry, executor: Noticing, *of_database: Noticing) -> None:
    """What executor, store and listener have to say in sentences."""
    for text in executor.take_notices():
        telemetry.emit("executor.notice", text=text)
    for one in of_database:
        for text in one.take_notices():
            telemetry.emit("database.notice", text=text)


def tell_rescued(telemetry: Telemetry, one: Rescued) -> None:
    """A run of another worker whose lease ran out."""
    telemetry.emit(
        "run.rescued",
        id=one.claim.run_id,
        task=one.task_path,
        attempt=one.claim.attempt,
        of=one.claim.max_attempts,
        lost_by=one.worker_id,
        becomes=one.becomes,
        retry_in_seconds=one.verdict.delay_seconds if one.becomes is one.verdict.status else 0.0,
    )


def tell_rescue_refused(telemetry: Telemetry, one: RefusedRescue) -> None:
    """A run of another worker whose lease ran out, and that the database will not let end."""
    then = "it is stored as failed" if one.is_failed else "it stays RUNNING, and every worker tries again, silently"
    telemetry.emit("run.rescue_refused", id=one.claim.run_id, task=one.task_path, reason=one.reason, next=then)
