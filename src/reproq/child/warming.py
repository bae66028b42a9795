"""A made-up run, without any user code: what a template rehearses, and what a child that was forked ahead does once.

Such a child has every page still in common with its template, and copies each when it first writes to it. While no
payload comes it has time for that. Nobody may notice: nothing is printed, answered or kept, and what fails here fails
in the first real run, which tells it better.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from reproq.child.reply import bounded, encode_return
from reproq.child.run import Runner, attempt, nothing
from reproq.frames import frame
from reproq.lifecycle import Failure, Success
from reproq.spec import hash_document
from reproq.wire import Payload

_TASK: Final = "reproq.rehearsal"
_ARGS: Final = '[1,2.5,"text",null,true,{"nested":[]}]'


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a setup function returns whose runner has something to rehearse; a plain function is a runner, too."""

    run: Runner
    rehearse: Callable[[], object]
    """Does once what a run does, and lets nobody notice: neither the project nor the run that comes."""
    notices: tuple[str, ...] = ()
    """What the setup function found that a person should know: sentences for the worker's log."""


def runner_of(found: Rehearsed | Runner) -> Runner:
    """The runner in what a setup function has returned."""
    return found.run if isinstance(found, Rehearsed) else found


def notices_of(found: Rehearsed | Runner) -> tuple[str, ...]:
    """What a setup function has to say."""
    return found.notices if isinstance(found, Rehearsed) else ()


def warm_up_of(found: Rehearsed | Runner, max_return_bytes: int) -> Callable[[], None]:
    """What a child does while it waits, with what a setup function has returned. It never raises."""
    body = made_up_payload()
    rehearse = found.rehearse if isinstance(found, Rehearsed) else nothing

    def rehearsed(message: dict[str, Any]) -> Success | Failure:
        rehearse()
        return made_up_run(message)

    def warm_up() -> None:
        with suppress(BaseException):
            frame(bounded(attempt(body, rehearsed), max_return_bytes).encode())

    return warm_up


def made_up_payload() -> bytes:
    """The payload of a run that nobody has enqueued."""
    return Payload(
        run_id=0, result_id="0-0", backend="default", attempt=1, max_attempts=1, task_path=_TASK,
        args_json=_ARGS, kwargs_json="{}", spec_hash=hash_document(_TASK, _ARGS, "{}"), queue_name="default",
        priority=0, run_after=None, enqueued_at="2000-01-01T00:00:00+00:00", started_at=None,
        last_attempted_at=None, worker_ids=(), errors_json="[]", timeout_seconds=None, seed=0,
    ).encode()  # fmt: skip


def made_up_run(message: dict[str, Any]) -> Success | Failure:
    """The runner of that."""
    return encode_return([message["args"], message["kwargs"]])
