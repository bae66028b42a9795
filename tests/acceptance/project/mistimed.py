"""A task module whose schedules are wrong, and one task that is right. Chosen by PROJECT_MODULES."""

from django.tasks import task

from reproq_django import periodic


@periodic("0 0 30 2 *", name="never")
@periodic("@daily", name="elsewhere", time_zone="Mars", args=[1])
@periodic("@daily", name="unfit")
@periodic("@daily", name="same", args=[1])
@periodic("@hourly", name="same", args=[1])
@task
def remind(customer: int) -> str:
    return f"customer {customer} is reminded"
