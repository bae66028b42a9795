"""Periodic tasks and their ticks, as Django sees them. When they are due is in `reproq.schedule`, how they fire in
`sql/periodic.sql`, and what is wrong with one in periodic_rules.py.
"""

from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connections, models, router, transaction
from django.db.models import F, Q
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from reproq.schedule.timing import MAX_BOUND, MAX_JITTER_SECONDS, CatchUp, Overlap
from reproq.schedule.zones import EARLIEST, HORIZON
from reproq.store.periodic import refill_due
from reproq.store.runs import CONTINUE, STOP
from reproq_django.fields import ExactJSONField, FloatArrayField, MomentArrayField
from reproq_django.visible import visible

LOST_CONTACT_CHOICES: Final = [(one, one) for one in (CONTINUE, STOP)]
KEPT_BY_SCHEDULERS: Final = (
    *("spec_hash", "upcoming", "computed_until", "refill_at", "next_run_at", "wake_at"),
    *("last_run_at", "last_run_id", "queued_due_at", "fault", "paused_at"),
)
"""What SQL and schedulers write; `save` leaves it alone, since it may have changed since it was read."""


def default_time_zone() -> str:
    """Django's own."""
    return str(settings.TIME_ZONE)


class PeriodicTask(models.Model):
    """A task to be enqueued whenever its cron expression fires."""

    id = models.BigAutoField(primary_key=True)
    name = models.TextField(unique=True)
    description = models.TextField(blank=True, default="", db_default="")
    enabled = models.BooleanField(db_default=True, default=True)
    cron_expr = models.TextField()
    time_zone = models.TextField(default=default_time_zone, db_default="UTC")
    jitter_seconds = models.FloatField(default=0.0, db_default=0.0)
    start_at = models.DateTimeField(null=True, blank=True)
    end_at = models.DateTimeField(null=True, blank=True)
    overlap = models.TextField(
        choices=[(one.value, one.value.replace("_", " ")) for one in Overlap],
        default=Overlap.ALLOW.value,
        db_default=Overlap.ALLOW.value,
    )
    catch_up = models.TextField(
        choices=[(one.value, one.value) for one in CatchUp],
        default=CatchUp.LATEST.value,
        db_default=CatchUp.LATEST.value,
    )
    catch_up_bound = models.IntegerField(default=100, db_default=100)
    backend = models.TextField(default="default", db_default="default")
    task_path = models.TextField()
    args = ExactJSONField(default=list, db_default=RawSQL("'[]'::json", ()))
    kwargs = ExactJSONField(default=dict, db_default=RawSQL("'{}'::json", ()))
    spec_hash = models.TextField(db_default="", editable=False)
    queue_name = models.TextField(default="default", db_default="default")
    priority = models.SmallIntegerField(default=0, db_default=0)
    max_attempts = models.IntegerField(default=3, db_default=3)
    backoff_seconds = FloatArrayField(null=True, blank=True)
    timeout_seconds = models.FloatField(null=True, blank=True)
    expires_in_seconds = models.FloatField(null=True, blank=True)
    on_lost_contact = models.TextField(choices=LOST_CONTACT_CHOICES, default=CONTINUE, db_default=CONTINUE)
    declared = models.JSONField(null=True, blank=True, editable=False)
    upcoming = MomentArrayField(db_default=RawSQL("'{}'::timestamptz[]", ()), editable=False)
    computed_until = models.DateTimeField(null=True, blank=True, editable=False)
    refill_at = models.DateTimeField(null=True, db_default=RawSQL("'epoch'::timestamptz", ()), editable=False)
    next_run_at = models.DateTimeField(null=True, blank=True)
    wake_at = models.DateTimeField(null=True, blank=True, editable=False)
    queued_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_run_at = models.DateTimeField(null=True, blank=True)
    last_run_id = models.BigIntegerField(null=True, blank=True, editable=False)
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    fault = models.TextField(db_default="", editable=False)

    class Meta:
        db_table = "periodic_tasks"
        required_db_vendor = "postgresql"
        indexes = (
            models.Index(fields=("wake_at",), name="periodic_tasks_wake", condition=Q(enabled=True)),
            models.Index(
                fields=("queued_due_at",), name="periodic_tasks_queued", condition=Q(queued_due_at__isnull=False)
            ),
        )
        constraints = (
            models.CheckConstraint(
                name="periodic_tasks_overlap_known", condition=Q(overlap__in=[one.value for one in Overlap])
            ),
            models.CheckConstraint(
                name="periodic_tasks_catch_up_known", condition=Q(catch_up__in=[one.value for one in CatchUp])
            ),
            models.CheckConstraint(
                name="periodic_tasks_bounded",
                condition=Q(
                    catch_up_bound__range=(1, MAX_BOUND),
                    jitter_seconds__range=(0, MAX_JITTER_SECONDS),
                    max_attempts__gte=1,
                    priority__range=(-100, 100),
                ),
            ),
            models.CheckConstraint(
                name="periodic_tasks_on_lost_contact_known", condition=Q(on_lost_contact__in=[CONTINUE, STOP])
            ),
            models.CheckConstraint(
                name="periodic_tasks_times_readable",
                condition=(Q(start_at__isnull=True) | Q(start_at__range=(EARLIEST, HORIZON)))
                & (Q(end_at__isnull=True) | Q(end_at__range=(EARLIEST, HORIZON)))
                & (Q(start_at__isnull=True) | Q(end_at__isnull=True) | Q(end_at__gte=F("start_at"))),
            ),
        )

    def __str__(self) -> str:
        return visible(self.name)

    @property
    def origin(self) -> str:
        """Whether code declares it or somebody made it by hand."""
        return "manual" if self.declared is None else "code"

    unread: frozenset[str] = frozenset()
    """Fields whose text a form could not read: they hold a default, and are not judged by it."""

    def clean(self) -> None:
        """Raise ValidationError with every fault at its field: what no scheduler could fire, or no worker run."""
        from reproq_django.periodic_rules import faults

        super().clean()
        found: dict[str, list[str]] = {}
        for field, text in faults(self, self.unread):
            found.setdefault(field, []).append(text)
        if found:
            raise ValidationError(found)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write what people decide, and nothing of what schedulers keep; then compute its next moments, so that pg_cron
        can fire it though no scheduler of ours has seen it yet."""
        if not self._state.adding and kwargs.get("update_fields") is None and not kwargs.get("force_insert"):
            kept = (*KEPT_BY_SCHEDULERS, "id")
            kwargs["update_fields"] = [field.name for field in self._meta.fields if field.name not in kept]
        alias = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=alias):
            super().save(*args, **kwargs | {"using": alias})
            with connections[alias].cursor() as cursor:
                refill_due(cursor, [self.name])
        for name in KEPT_BY_SCHEDULERS:
            self.__dict__.pop(name, None)  # read again when somebody asks


class Tick(models.Model):
    """One moment at which a periodic task was due, and what was decided then."""

    class Outcome(models.TextChoices):
        """What became of it."""

        ENQUEUED = "enqueued"
        CAUGHT_UP = "caught_up"
        QUEUED = "queued"
        SKIPPED = "skipped"

    id = models.BigAutoField(primary_key=True)
    periodic_task_id = models.BigIntegerField()
    due_at = models.DateTimeField()
    outcome = models.TextField(choices=Outcome.choices)
    run_id = models.BigIntegerField(null=True, blank=True)
    decided_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "reproq_ticks"
        required_db_vendor = "postgresql"
        constraints = (
            models.UniqueConstraint(fields=("periodic_task_id", "due_at"), name="reproq_ticks_once"),
            models.CheckConstraint(
                name="reproq_ticks_run_if_enqueued",
                condition=Q(outcome__in=["enqueued", "caught_up"], run_id__isnull=False)
                | Q(outcome__in=["queued", "skipped"], run_id__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return f"tick of periodic task {self.periodic_task_id} at {self.due_at}"
