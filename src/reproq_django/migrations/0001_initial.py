"""The tables, their rules, and what Django has no words for. Rewritten, not followed, until the first release."""

from datetime import UTC, datetime

import django.db.models.functions.datetime
import django.db.models.functions.text
import django.db.models.lookups
from django.db import migrations, models
from django.db.models.expressions import RawSQL

import reproq_django.fields
from reproq_django import schema

READABLE_TIMES = (datetime(1, 7, 1, tzinfo=UTC), datetime(9999, 7, 1, tzinfo=UTC))


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        schema.CreateTable(
            name="PeriodicTask",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.TextField(unique=True)),
                ("cron_expr", models.TextField()),
                ("time_zone", models.TextField(db_default="UTC")),
                ("task_path", models.TextField()),
                ("args", reproq_django.fields.ExactJSONField(db_default=RawSQL("'[]'::json", ()))),
                ("kwargs", reproq_django.fields.ExactJSONField(db_default=RawSQL("'{}'::json", ()))),
                ("queue_name", models.TextField(db_default="default")),
                ("priority", models.SmallIntegerField(db_default=0)),
                ("enabled", models.BooleanField(db_default=True)),
                ("next_run_at", models.DateTimeField(blank=True, null=True)),
                ("last_run_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "periodic_tasks",
                "required_db_vendor": "postgresql",
            },
        ),
        schema.CreateTable(
            name="Worker",
            fields=[
                ("worker_id", models.TextField(primary_key=True, serialize=False)),
                ("hostname", models.TextField(db_default="")),
                ("pid", models.IntegerField(db_default=0)),
                ("queues", reproq_django.fields.TextArrayField(db_default=RawSQL("'{}'::text[]", ()))),
                ("executor", models.TextField(db_default="")),
                ("concurrency", models.IntegerField(db_default=1)),
                ("version", models.TextField(db_default="")),
                ("started_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("last_seen_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("draining", models.BooleanField(db_default=False)),
                ("idle_queues", reproq_django.fields.TextArrayField(db_default=RawSQL("'{}'::text[]", ()))),
            ],
            options={
                "db_table": "reproq_workers",
                "required_db_vendor": "postgresql",
            },
        ),
        schema.CreateTable(
            name="RunLog",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("run_id", models.BigIntegerField()),
                ("attempt", models.IntegerField()),
                ("head", models.TextField(db_default="")),
                ("tail", models.TextField(db_default="")),
                ("bytes_total", models.BigIntegerField(db_default=0)),
            ],
            options={
                "db_table": "reproq_logs",
                "required_db_vendor": "postgresql",
                "constraints": [
                    models.UniqueConstraint(fields=("run_id", "attempt"), name="reproq_logs_one_an_attempt")
                ],
            },
        ),
        schema.CreateTable(
            name="TaskRun",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "nonce",
                    models.BigIntegerField(db_default=RawSQL("hashtextextended(gen_random_uuid()::text, 0)", ())),
                ),
                ("backend", models.TextField(db_default="default")),
                ("task_path", models.TextField()),
                ("args", reproq_django.fields.ExactJSONField(db_default=RawSQL("'[]'::json", ()))),
                ("kwargs", reproq_django.fields.ExactJSONField(db_default=RawSQL("'{}'::json", ()))),
                ("spec_hash", models.TextField()),
                ("queue_name", models.TextField(db_default="default")),
                ("priority", models.SmallIntegerField(db_default=0)),
                ("run_after", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("due_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "status",
                    models.TextField(
                        choices=[
                            ("WAITING", "Waiting"),
                            ("SCHEDULED", "Scheduled"),
                            ("READY", "Ready"),
                            ("RUNNING", "Running"),
                            ("SUCCESSFUL", "Successful"),
                            ("FAILED", "Failed"),
                            ("CANCELLED", "Cancelled"),
                        ],
                        db_default="READY",
                    ),
                ),
                ("attempts", models.IntegerField(db_default=0)),
                ("worker_ids", reproq_django.fields.TextArrayField(db_default=RawSQL("'{}'::text[]", ()))),
                ("failures", models.IntegerField(db_default=0)),
                ("max_attempts", models.IntegerField(db_default=3)),
                ("backoff_seconds", reproq_django.fields.FloatArrayField(blank=True, null=True)),
                ("timeout_seconds", models.FloatField(blank=True, null=True)),
                ("releases", models.IntegerField(db_default=0)),
                ("claim_token", models.BigIntegerField(blank=True, null=True)),
                ("worker_id", models.TextField(blank=True, null=True)),
                ("claimed_at", models.DateTimeField(blank=True, null=True)),
                ("lease_expires_at", models.DateTimeField(blank=True, null=True)),
                ("enqueued_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("last_attempted_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("return_value", reproq_django.fields.ExactJSONField(blank=True, null=True)),
                ("errors", models.JSONField(db_default=RawSQL("'[]'::jsonb", ()))),
                ("waiting_reason", models.TextField(blank=True, null=True)),
                ("cancel_requested_at", models.DateTimeField(blank=True, null=True)),
                ("replay_of", models.BigIntegerField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "run",
                "permissions": (
                    ("replay_taskrun", "Can replay run"),
                    ("retry_taskrun", "Can retry failed run"),
                    ("cancel_taskrun", "Can cancel run"),
                ),
                "db_table": "task_runs",
                "ordering": ("-id",),
                "required_db_vendor": "postgresql",
                "indexes": [
                    models.Index(
                        models.F("queue_name"),
                        models.OrderBy(models.F("priority"), descending=True),
                        models.F("due_at"),
                        models.F("id"),
                        condition=models.Q(("status", "READY")),
                        name="task_runs_claim",
                    ),
                    models.Index(condition=models.Q(("status", "SCHEDULED")), fields=["due_at"], name="task_runs_due"),
                    models.Index(
                        condition=models.Q(("worker_id__isnull", False)), fields=["worker_id"], name="task_runs_held"
                    ),
                    models.Index(
                        condition=models.Q(("finished_at__isnull", False)),
                        fields=["finished_at"],
                        name="task_runs_finished",
                    ),
                    models.Index(
                        django.db.models.functions.text.Left("spec_hash", 12),
                        condition=models.Q(("finished_at__isnull", False)),
                        name="task_runs_replay",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "status__in",
                                ["WAITING", "SCHEDULED", "READY", "RUNNING", "SUCCESSFUL", "FAILED", "CANCELLED"],
                            )
                        ),
                        name="task_runs_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("priority__range", (-100, 100))), name="task_runs_priority_bounded"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            django.db.models.lookups.Exact(django.db.models.functions.text.Length("spec_hash"), 64),
                            ("spec_hash__regex", "^[0-9a-f]*$"),
                        ),
                        name="task_runs_spec_hash_whole",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("claim_token__isnull", False),
                                ("claimed_at__isnull", False),
                                ("lease_expires_at__isnull", False),
                                ("status", "RUNNING"),
                                ("worker_id__isnull", False),
                            ),
                            models.Q(
                                models.Q(("status", "RUNNING"), _negated=True),
                                ("claim_token__isnull", True),
                                ("claimed_at__isnull", True),
                                ("lease_expires_at__isnull", True),
                                ("worker_id__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="task_runs_claim_only_while_running",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("attempts", models.Func(models.F("worker_ids"), function="cardinality"))),
                        name="task_runs_attempts_are_worker_ids",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("failures__gte", 0),
                            ("failures__lte", models.F("attempts")),
                            ("max_attempts__gte", 1),
                            ("releases__gte", 0),
                        ),
                        name="task_runs_counters_bounded",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("finished_at__isnull", False), ("status__in", ["CANCELLED", "FAILED", "SUCCESSFUL"])
                            ),
                            models.Q(
                                models.Q(("status__in", ["CANCELLED", "FAILED", "SUCCESSFUL"]), _negated=True),
                                ("finished_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="task_runs_finished_has_its_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("return_value__isnull", False), ("status", "SUCCESSFUL")),
                            models.Q(models.Q(("status", "SUCCESSFUL"), _negated=True), ("return_value__isnull", True)),
                            _connector="OR",
                        ),
                        name="task_runs_value_only_on_success",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("timeout_seconds__isnull", True),
                            models.Q(("timeout_seconds__gt", 0), ("timeout_seconds__lte", 2592000.0)),
                            _connector="OR",
                        ),
                        name="task_runs_timeout_bounded",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("due_at__range", READABLE_TIMES),
                            ("enqueued_at__range", READABLE_TIMES),
                            models.Q(
                                ("run_after__isnull", True), ("run_after__range", READABLE_TIMES), _connector="OR"
                            ),
                        ),
                        name="task_runs_times_readable",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("expires_at__isnull", True),
                            models.Q(
                                ("expires_at__gt", models.F("enqueued_at")), ("expires_at__lte", READABLE_TIMES[1])
                            ),
                            _connector="OR",
                        ),
                        name="task_runs_expires_after_enqueue",
                    ),
                ],
            },
        ),
        schema.Install("storage", undo="SELECT 1"),
        schema.Install(
            "spec_hash",
            undo="DROP FUNCTION reproq_spec_hash(text, json, json); DROP FUNCTION reproq_canonical(json, text)",
        ),
        schema.Install(
            "spec_immutable",
            undo="DROP TRIGGER reproq_spec_immutable ON task_runs; DROP FUNCTION reproq_refuse_spec_change()",
        ),
        schema.Install("fill", undo="DROP TRIGGER reproq_fill ON task_runs; DROP FUNCTION reproq_fill_run()"),
        schema.Install("payload_bound", undo="DROP FUNCTION reproq_within_bounds(json, json)"),
        schema.Install("enqueue", undo="DROP FUNCTION reproq_enqueue", until="0003"),
        schema.Install("wake", undo="DROP FUNCTION reproq_wake"),
        schema.Install("insert_run", undo="DROP PROCEDURE reproq_insert_run", until="0003"),
        schema.Install("meta", undo="DROP TABLE reproq_meta"),
        schema.InstallLast("comments", undo="SELECT 1"),
    ]
