"""What a task may say of its own runs: `max_attempts`, `backoff`, `timeout`, `expires_in`, `on_lost_contact`.

`@options` goes under `@task` and sets one attribute of the function: it works on every Django, under every backend.
What applies to a run: the Task's own field, else the function's, else the backend's OPTIONS, else the engine's default.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.tasks import Task
from django.tasks.exceptions import InvalidTask

from reproq import backoff as backoff_steps
from reproq.config import KNOBS
from reproq.store.runs import CONTINUE, STOP
from reproq.values import duration, outside

ATTRIBUTE: Final = "reproq_options"
NAMES: Final = ("max_attempts", "backoff", "timeout", "expires_in", "on_lost_contact")
MAX_BACKOFF_SECONDS: Final = 30 * 86_400.0
MIN_EXPIRY_SECONDS: Final = 0.001
MAX_EXPIRY_SECONDS: Final = 3660 * 86_400.0


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """Options as they are stored. `backoff` are the waits after failure 1, 2, …; `timeout` and `expires_in` are
    seconds; `on_lost_contact` is "continue" or "stop"; None: unset."""

    max_attempts: int | None = None
    backoff: tuple[float, ...] | None = None
    timeout: float | None = None
    expires_in: float | None = None
    on_lost_contact: str | None = None


def options(
    *,
    max_attempts: Any = None,
    backoff: Any = None,
    timeout: Any = None,
    expires_in: Any = None,
    on_lost_contact: Any = None,
) -> Callable[[Any], Any]:
    """Say how the runs of a task are retried and bounded; goes under `@task`.

    `max_attempts` counts tries. `backoff` is the first wait of an exponential back-off (seconds, `"5s"` or a
    timedelta), or a sequence of waits, the last of which repeats. `timeout` is what one try may take.
    A run that has not started `expires_in` after it was due never starts, and fails as expired.
    `on_lost_contact="stop"` has an attempt stopped while its worker has lost the database, before another worker can
    start the next one; by default ("continue") it goes on. Raises InvalidTask for a value outside its bounds.
    """
    given = parsed_options(
        max_attempts=max_attempts,
        backoff=backoff,
        timeout=timeout,
        expires_in=expires_in,
        on_lost_contact=on_lost_contact,
    )

    def decorate(function: Any) -> Any:
        if isinstance(function, Task):
            raise InvalidTask(
                f"@options stands above @task on {function.module_path}; write it below, on the function."
            )
        setattr(function, ATTRIBUTE, given)
        return function

    return decorate


def parsed_options(**values: Any) -> TaskOptions:
    """Values as people write them, in their stored form. Raises InvalidTask, naming option, value and bound."""
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return TaskOptions(**{name: parse_option(name, value) for name, value in given.items()})
    except ValueError as error:
        raise InvalidTask(str(error)) from None


def parse_option(name: str, value: Any) -> Any:
    """One value in its stored form. Raises ValueError, naming option, value and bound."""
    if name == "backoff":
        return _parse_backoff(value)
    if name == "expires_in":
        return _parse_expiry(value)
    if name == "on_lost_contact":
        return _parse_answer(value)
    knob = KNOBS[name]
    try:
        parsed = knob.parse(value)
    except ValueError as error:
        raise ValueError(f"{name} = {value!r} {error}") from None
    low, high = knob.bounds or (0, float("inf"))
    if not low <= parsed <= high:
        raise ValueError(f"{name} = {value!r} {outside(low, high, knob.unit)}")
    return parsed


def _parse_backoff(value: Any) -> tuple[float, ...]:
    is_sequence = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    waits = list(value) if is_sequence else [value]
    if not 1 <= len(waits) <= backoff_steps.MAX_STEPS:
        raise ValueError(f"backoff has {len(waits)} waits; give 1 to {backoff_steps.MAX_STEPS} of them")
    steps = tuple(_parse_wait(wait, value) for wait in waits)
    return steps if is_sequence else backoff_steps.exponential(steps[0])


def _parse_wait(wait: Any, value: Any) -> float:
    try:
        seconds = duration(wait)
    except ValueError as error:
        raise ValueError(f"backoff = {value!r}: {wait!r} {error}") from None
    if not 0 <= seconds <= MAX_BACKOFF_SECONDS:
        raise ValueError(f"backoff = {value!r} {outside(0, MAX_BACKOFF_SECONDS, 's')}")
    return seconds


def _parse_expiry(value: Any) -> float:
    try:
        seconds = duration(value)
    except ValueError as error:
        raise ValueError(f"expires_in = {value!r} {error}") from None
    if not MIN_EXPIRY_SECONDS <= seconds <= MAX_EXPIRY_SECONDS:
        raise ValueError(f"expires_in = {value!r} {outside(MIN_EXPIRY_SECONDS, MAX_EXPIRY_SECONDS, 's')}")
    return seconds


def _parse_answer(value: Any) -> str:
    if value not in (CONTINUE, STOP):
        raise ValueError(f'on_lost_contact = {value!r} is neither "{CONTINUE}" (the default) nor "{STOP}"')
    return str(value)


def unstated(function: Any, defaults: TaskOptions) -> TaskOptions:
    """What applies to a Task of this function whose own fields say nothing."""
    own = getattr(function, ATTRIBUTE, None) or TaskOptions()
    return TaskOptions(*(_first(getattr(own, name), getattr(defaults, name)) for name in NAMES))


def effective(task: Task, defaults: TaskOptions) -> TaskOptions:
    """What applies to a run of this Task."""
    rest = unstated(task.func, defaults)
    return TaskOptions(*(_first(getattr(task, name, None), getattr(rest, name)) for name in NAMES))


def stated(applied: TaskOptions, function: Any, defaults: TaskOptions) -> dict[str, Any]:
    """The fields of a Task that make `applied` apply; None wherever it would apply without the field."""
    rest = unstated(function, defaults)
    fields = {}
    for name in NAMES:
        value = getattr(applied, name)
        fields[name] = None if value == getattr(rest, name) else value
    return fields


def _first(value: Any, other: Any) -> Any:
    return other if value is None else value
