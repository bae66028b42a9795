"""`ReproqTask`: Django's Task with our options as fields, and one way to make a Task that no backend validates."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from typing import Any, Self

from django.tasks import Task, TaskResult, task_backends
from django.utils.module_loading import import_string

from reproq_django.task_options import NAMES, parsed_options


@dataclass(frozen=True, slots=True, kw_only=True)
class ReproqTask(Task):
    """A Task that may say what `@options` says itself: as keywords of `@task` from Django 6.1 on, and of `.using()`
    everywhere. A field that is None leaves the say to the function's `@options`, then the backend."""

    max_attempts: Any = None
    backoff: Any = None
    timeout: Any = None
    expires_in: Any = None
    on_lost_contact: Any = None

    def __post_init__(self) -> None:
        given = parsed_options(**{name: getattr(self, name) for name in NAMES})
        for name in NAMES:
            object.__setattr__(self, name, getattr(given, name))
        Task.__post_init__(self)  # a slotted dataclass is a second class: super() would miss it

    @classmethod
    def _reconstruct(cls, kwargs: dict[str, Any]) -> Self:
        """Unpickle. Django 6.0 cannot pickle a Task; from 6.1 on it names the function by its path, as here."""
        func_path = kwargs["func"]
        try:
            kwargs["func"] = import_string(func_path).func
        except (ImportError, AttributeError) as error:
            raise ValueError(f"Expected {func_path!r} to point to a Task instance.") from error
        return cls(**kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        kwargs = {field.name: getattr(self, field.name) for field in fields(self)}
        return self.__class__._reconstruct, (kwargs | {"func": self.module_path},)

    def get_backend(self) -> Any:
        """The backend, as Django finds it; Django imports its own module anew at each call, which takes longer."""
        return task_backends[self.backend]

    def using(
        self,
        *,
        max_attempts: Any = None,
        backoff: Any = None,
        timeout: Any = None,
        expires_in: Any = None,
        on_lost_contact: Any = None,
        **changes: Any,
    ) -> Self:
        """A new Task with other defaults: Django's four, and those of `@options`."""
        given = {
            "max_attempts": max_attempts,
            "backoff": backoff,
            "timeout": timeout,
            "expires_in": expires_in,
            "on_lost_contact": on_lost_contact,
        }
        changed = Task.using(self, **changes)
        return replace(changed, **{name: value for name, value in given.items() if value is not None})

    def enqueue_many(self, calls: Iterable[Any]) -> list[TaskResult]:
        """One run for each item, all of them or none, in the caller's transaction; the results are in its order.

        An item is a tuple or list of positional arguments, or a dict of keyword arguments, as in
        `resize.enqueue_many([("a.png", 200), {"name": "b.png", "width": 300}])`. So `(("a.png",), {"width": 200})` is
        no pair of both kinds, but two positional arguments, a list and a dict. Both kinds at once are for the backend:
        `resize.get_backend().enqueue_many([(resize, ("a.png",), {"width": 200})])`.

        Raises TypeError for another item, and what `enqueue` raises, before anything is sent to the database.
        """
        many: list[TaskResult] = self.get_backend().enqueue_many(self._calls(calls))
        return many

    async def aenqueue_many(self, calls: Iterable[Any]) -> list[TaskResult]:
        """`enqueue_many` in async code."""
        many: list[TaskResult] = await self.get_backend().aenqueue_many(self._calls(calls))
        return many

    def _calls(self, calls: Iterable[Any]) -> Iterator[tuple[Self, Any, Any]]:
        for place, item in enumerate(calls):
            match item:
                case tuple() | list():
                    yield self, item, {}
                case dict():
                    yield self, (), item
                case _:
                    raise TypeError(
                        "enqueue_many takes a tuple, list or dict of arguments for each run; "
                        f"item {place} (counted from 0) is {item!r:.40}, of type {type(item).__qualname__}; "
                        "for one argument, write (value,)"
                    )


def unvalidated(function: Callable[..., Any]) -> ReproqTask:
    """A Task of a function, as `@task` makes them, but without asking the settings whether they allow it: for tasks of
    ours, which any project must be able to import."""
    made = object.__new__(ReproqTask)
    for field in fields(ReproqTask):
        object.__setattr__(made, field.name, function if field.default is MISSING else field.default)
    return made


def altered[One: (Task, TaskResult)](one: One, **changes: Any) -> One:
    """A copy with other fields, not validated: a stored run stays readable and runnable when the settings change. Nor
    are the arguments of a result normalised, which costs as much as all the rest.

    Names that the class has no field for are left out.
    """
    copy = object.__new__(type(one))
    for name in _names(type(one)):
        object.__setattr__(copy, name, changes[name] if name in changes else getattr(one, name))
    return copy


@cache
def _names(kind: type[Task | TaskResult]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))
