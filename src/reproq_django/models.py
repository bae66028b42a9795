"""The tables as Django sees them. Every column has a database default, so that plain SQL can insert too.

The rules behind the columns are contract 2; what the engine does with them is in `reproq.store`, never here.
"""

from datetime import UTC, datetime
from typing import Final

from django.db import models
from django.db.models import F, Func, Q
from django.db.models.expressions import RawSQL
from django.db.models.functions import Left, Length, Now
from django.db.models.lookups import Exact

from reproq.lifecycle import FINISHED, Status
from reproq.store.runs import CONTINUE, STOP
from reproq_django.fields import ExactJSONField, FloatArrayField, TextArrayField
from reproq_django.periodic_tasks import LOST_CONTACT_CHOICES, PeriodicTask, Tick  # noqa: F401 - Django looks for models here
from reproq_django.visible import visible

STATUS_CHOICES = [(status.value, status.value.capitalize()) for status in Status]
FINISHED_NAMES = sorted(status.value for status in FINISHED)
READABLE_TIMES: Final = (datetime(1, 7, 1, tzinfo=UTC), datetime(9999, 7, 1, tzinfo=UTC))
"""What Python can read, in any time zone. One row outside, claimed, would end every worker that meets it."""
MAX_TIMEOUT_SECONDS: Final = 30 * 86_400.0


def _no_texts() -> RawSQL:
    return RawSQL("'{}'::text[]", ())


class RunManager(models.Manager["TaskRun"]):
    """Leaves out the three texts that may be large, until somebody reads them."""

    def get_queryset(self) -> models.QuerySet["TaskRun"]:
        return super().get_queryset().defer("args", "kwargs", "return_value")


class TaskRun(models.Model):
    """One run: one enqueued call of a task, its spec, where it stands, and how it ended."""

    id = models.BigAutoField(primary_key=True)
    nonce = models.BigIntegerField(db_default=RawSQL("hashtextextended(gen_random_uuid()::text, 0)", ()))
    backend = models.TextField(db_default="default")
    task_path = models.TextField()
    args = ExactJSONField(db_default=RawSQL("'[]'::json", ()))
    kwargs = ExactJSONField(db_default=RawSQL("'{}'::json", ()))
    spec_hash = models.TextField()
    queue_name = models.TextField(db_default="default")
    priority = models.SmallIntegerField(db_default=0)
    run_after = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(db_default=Now())
    status = models.TextField(choices=STATUS_CHOICES, db_default=Status.READY.value)
    attempts = models.IntegerField(db_default=0)
    worker_ids = TextArrayField(db_default=_no_texts())
    failures = models.IntegerField(db_default=0)
    max_attempts = models.IntegerField(db_default=3)
    backoff_seconds = FloatArrayField(null=True, blank=True)
    timeout_seconds = models.FloatField(null=True, blank=True)
    on_lost_contact = models.TextField(choices=LOST_CONTACT_CHOICES, null=True, blank=True)  # NULL: continue
    releases = models.IntegerField(db_default=0)
    claim_token = models.BigIntegerField(null=True, blank=True)
    worker_id = models.TextField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    enqueued_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    last_attempted_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    return_value = ExactJSONField(null=True, blank=True)
    errors = models.JSONField(db_default=RawSQL("'[]'::jsonb", ()))
    waiting_reason = models.TextField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    replay_of = models.BigIntegerField(null=True, blank=True)

    objects = RunManager()

    class Meta:
        db_table = "task_runs"
        required_db_vendor = "postgresql"
        ordering = ("-id",)
        verbose_name = "run"
        permissions = (
            ("replay_taskrun", "Can replay run"),
            ("retry_taskrun", "Can retry failed run"),
            ("cancel_taskrun", "Can cancel run"),
        )
        indexes = (
            models.Index(
                "queue_name",
                F("priority").desc(),
                "due_at",
                "id",
                name="task_runs_claim",
                condition=Q(status=Status.READY.value),
            ),
            models.Index(fields=("due_at",), name="task_runs_due", condition=Q(status=Status.SCHEDULED.value)),
            models.Index(fields=("worker_id",), name="task_runs_held", condition=Q(worker_id__isnull=False)),
            models.Index(fields=("finished_at",), name="task_runs_finished", condition=Q(finished_at__isnull=False)),
            models.Index(Left("spec_hash", 12), name="task_runs_replay", condition=Q(finished_at__isnull=False)),
        )
        constraints = (
            models.CheckConstraint(
                name="task_runs_status_known", condition=Q(status__in=[status.value for status in Status])
            ),
            models.CheckConstraint(name="task_runs_priority_bounded", condition=Q(priority__range=(-100, 100))),
            models.CheckConstraint(
                name="task_runs_spec_hash_whole",  # with a counted {64} it costs every write of a row 12 µs
                condition=Q(Exact(Length("spec_hash"), 64), spec_hash__regex="^[0-9a-f]*$"),
            ),
            models.CheckConstraint(
                name="task_runs_claim_only_while_running",
                condition=Q(
                    status=Status.RUNNING.value,
                    claim_token__isnull=False,
                    worker_id__isnull=False,
                    claimed_at__isnull=False,
                    lease_expires_at__isnull=False,
                )
                | Q(
                    ~Q(status=Status.RUNNING.value),
                    claim_token__isnull=True,
                    worker_id__isnull=True,
                    claimed_at__isnull=True,
                    lease_expires_at__isnull=True,
                ),
            ),
            models.CheckConstraint(
                name="task_runs_attempts_are_worker_ids",
                condition=Q(attempts=Func(F("worker_ids"), function="cardinality")),
            ),
            models.CheckConstraint(
                name="task_runs_counters_bounded",
                condition=Q(max_attempts__gte=1, failures__gte=0, failures__lte=F("attempts"), releases__gte=0),
            ),
            models.CheckConstraint(
                name="task_runs_finished_has_its_time",
                condition=Q(status__in=FINISHED_NAMES, finished_at__isnull=False)
                | Q(~Q(status__in=FINISHED_NAMES), finished_at__isnull=True),
            ),
            models.CheckConstraint(
                name="task_runs_value_only_on_success",
                condition=Q(status=Status.SUCCESSFUL.value, return_value__isnull=False)
                | Q(~Q(status=Status.SUCCESSFUL.value), return_value__isnull=True),
            ),
            models.CheckConstraint(
                name="task_runs_timeout_bounded",  # PostgreSQL's NaN is greater than every number
                condition=Q(timeout_seconds__isnull=True)
                | Q(timeout_seconds__gt=0, timeout_seconds__lte=MAX_TIMEOUT_SECONDS),
            ),
            models.CheckConstraint(
                name="task_runs_on_lost_contact_known", condition=Q(on_lost_contact__in=[CONTINUE, STOP])
            ),
            models.CheckConstraint(
                name="task_runs_times_readable",
                condition=Q(enqueued_at__range=READABLE_TIMES, due_at__range=READABLE_TIMES)
                & (Q(run_after__isnull=True) | Q(run_after__range=READABLE_TIMES)),
            ),
            models.CheckConstraint(
                name="task_runs_expires_after_enqueue",
                condition=Q(expires_at__isnull=True)
                | Q(expires_at__gt=F("enqueued_at"), expires_at__lte=READABLE_TIMES[1]),
            ),
        )

    def __str__(self) -> str:
        return f"{visible(self.task_path)} #{self.pk}"


class Worker(models.Model):
    """A worker that registered, and when it was last seen."""

    worker_id = models.TextField(primary_key=True)
    hostname = models.TextField(db_default="")
    pid = models.IntegerField(db_default=0)
    queues = TextArrayField(db_default=_no_texts())
    executor = models.TextField(db_default="")
    concurrency = models.IntegerField(db_default=1)
    version = models.TextField(db_default="")
    started_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())
    draining = models.BooleanField(db_default=False)
    idle_queues = TextArrayField(db_default=_no_texts())
    role = models.TextField(db_default="worker")
    beats = models.BooleanField(db_default=False)

    class Meta:
        db_table = "reproq_workers"
        required_db_vendor = "postgresql"

    def __str__(self) -> str:
        return visible(self.worker_id)


class RunLog(models.Model):
    """What one attempt printed: the first and the last bytes, and how many there were in all."""

    id = models.BigAutoField(primary_key=True)
    run_id = models.BigIntegerField()
    attempt = models.IntegerField()
    head = models.TextField(db_default="")
    tail = models.TextField(db_default="")
    bytes_total = models.BigIntegerField(db_default=0)

    class Meta:
        db_table = "reproq_logs"
        required_db_vendor = "postgresql"
        constraints = (models.UniqueConstraint(fields=("run_id", "attempt"), name="reproq_logs_one_an_attempt"),)

    def __str__(self) -> str:
        return f"log of run {self.run_id}, attempt {self.attempt}"
