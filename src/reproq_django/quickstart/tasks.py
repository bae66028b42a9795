"""The quickstart's tasks: one of real work, and one for each way in which a run can go."""

import asyncio
import time

from django.db.models import F
from django.tasks import TaskContext, task

from reproq_django import options, periodic
from reproq_django.quickstart.figures import measure


@task
def measure_module(name: str) -> dict[str, int | str]:
    """Lines, functions, classes and deepest nesting of one module of the standard library."""
    return measure(name)


@task
@options(max_attempts=2, backoff=0.2)
def always_raises() -> None:
    """Fails at every attempt."""
    raise ValueError("this task always raises; the demo wants to show it")


@task(takes_context=True)
@options(max_attempts=3, backoff=0.2)
def third_time_lucky(context: TaskContext) -> str:
    """Succeeds at its third attempt."""
    if context.attempt < 3:
        raise ConnectionError(f"attempt {context.attempt} found nobody at home")
    return f"succeeded at attempt {context.attempt}"


@task
@options(max_attempts=1, timeout="1s")
def never_ends() -> None:
    """Must be killed by its timeout."""
    while True:
        time.sleep(60)


@task
def say_it_later(words: str) -> str:
    """Is enqueued for three seconds later."""
    return words


@task
async def wait_politely(seconds: float) -> str:
    """An async task."""
    await asyncio.sleep(seconds)
    return f"waited {seconds} s without blocking"


@periodic("* * * * * *", name="every second", priority=10)
@task
def tell_the_time() -> str:
    """Is scheduled. The demo lets its schedule fire for some seconds; in a project it would go on."""
    return time.strftime("%H:%M:%S", time.gmtime())


@task
def greet(name: str) -> int:
    """Uses the ORM: a connection of the child's own, opened when it is needed."""
    from reproq_django.quickstart.models import Greeting

    Greeting.objects.get_or_create(name=name)
    Greeting.objects.filter(name=name).update(times=F("times") + 1)
    return Greeting.objects.get(name=name).times
