"""The tasks of a made-up project, as a project would write them."""

import functools

from django.tasks import TaskContext, task

from reproq_django import options


@task
def add(left, right=0):
    return left + right


@task()
def echo(*args, **kwargs):
    return {"args": args, "kwargs": kwargs}


@task
async def add_async(left, right):
    return left + right


@task(takes_context=True)
def look_around(context: TaskContext, *expected):
    result = context.task_result
    return {"id": result.id, "attempt": context.attempt, "status": result.status, "expected": expected}


to_return = None


@task
def returns():
    return to_return


@task
def fail(message="no luck"):
    raise ValueError(message)


@task
def leave():
    raise SystemExit(3)


@task
def interrupt():
    raise KeyboardInterrupt


@task
@options(max_attempts=5, backoff="2s", timeout="1m")
def patient():
    return None


@task
@options(on_lost_contact="stop")
def alone():
    return None


@task
@options(expires_in="10m")
def prompt():
    return None


def with_the_hour(function):
    """Gives the function one argument more than its callers give."""

    @functools.wraps(function)
    def wrapper(*args):
        return function(*args, 12)

    return wrapper


@task
@with_the_hour
def greet_by_the_clock(name, hour):
    return f"{name} at {hour}"


def plain_function():
    return "no task"


renamed_name = add  # found here, lives at `.add`
