"""A task module that declares schedules, under a name that nothing looks for."""

from django.tasks import task

from reproq_django import options, periodic


@periodic("0 2 * * *", time_zone="Europe/Berlin", overlap="skip", jitter="30s")
@task(priority=5)
@options(max_attempts=2, timeout="1m", backoff=3, on_lost_contact="stop")
def nightly(note="x"):
    """Closes the books.

    And more.
    """
    return note


@periodic("@hourly", name="first", args=["a"])
@periodic("@daily", name="second", kwargs={"note": "b"}, description="Its own words.")
@task
def twice(note):
    return note


@task
def never(note):
    return note
