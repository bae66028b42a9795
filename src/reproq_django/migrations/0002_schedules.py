"""Schedules: what a periodic task may say, its next moments, its ticks, and the SQL that fires them."""

import datetime

import django.db.models.expressions
import django.db.models.functions.datetime
from django.db import migrations, models

import reproq_django.fields
import reproq_django.periodic_tasks
from reproq_django import schema

READABLE = (datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC), datetime.datetime(9990, 1, 1, tzinfo=datetime.UTC))


class Migration(migrations.Migration):
    dependencies = [
        ("reproq_django", "0001_initial"),
    ]

    operations = [
        schema.CreateTable(
            name="Tick",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("periodic_task_id", models.BigIntegerField()),
                ("due_at", models.DateTimeField()),
                (
                    "outcome",
                    models.TextField(
                        choices=[
                            ("enqueued", "Enqueued"),
                            ("caught_up", "Caught Up"),
                            ("queued", "Queued"),
                            ("skipped", "Skipped"),
                        ]
                    ),
                ),
                ("run_id", models.BigIntegerField(blank=True, null=True)),
                ("decided_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "reproq_ticks",
                "required_db_vendor": "postgresql",
            },
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="backend",
            field=models.TextField(db_default="default", default="default"),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="backoff_seconds",
            field=reproq_django.fields.FloatArrayField(blank=True, null=True),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="catch_up",
            field=models.TextField(
                choices=[("none", "none"), ("latest", "latest"), ("all", "all")], db_default="latest", default="latest"
            ),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="catch_up_bound",
            field=models.IntegerField(db_default=100, default=100),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="computed_until",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="declared",
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="description",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="end_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="expires_in_seconds",
            field=models.FloatField(blank=True, null=True),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="fault",
            field=models.TextField(db_default="", editable=False),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="jitter_seconds",
            field=models.FloatField(db_default=0.0, default=0.0),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="last_run_id",
            field=models.BigIntegerField(blank=True, editable=False, null=True),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="max_attempts",
            field=models.IntegerField(db_default=3, default=3),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="overlap",
            field=models.TextField(
                choices=[("allow", "allow"), ("skip", "skip"), ("queue_one", "queue one")],
                db_default="allow",
                default="allow",
            ),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="paused_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="queued_due_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="refill_at",
            field=models.DateTimeField(
                db_default=django.db.models.expressions.RawSQL("'epoch'::timestamptz", ()), editable=False, null=True
            ),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="spec_hash",
            field=models.TextField(db_default="", editable=False),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="start_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="timeout_seconds",
            field=models.FloatField(blank=True, null=True),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="upcoming",
            field=reproq_django.fields.MomentArrayField(
                db_default=django.db.models.expressions.RawSQL("'{}'::timestamptz[]", ()), editable=False
            ),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="wake_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        schema.AddColumn(
            model_name="worker",
            name="beats",
            field=models.BooleanField(db_default=False),
        ),
        schema.AddColumn(
            model_name="worker",
            name="role",
            field=models.TextField(db_default="worker"),
        ),
        schema.AlterColumn(
            model_name="periodictask",
            name="args",
            field=reproq_django.fields.ExactJSONField(
                db_default=django.db.models.expressions.RawSQL("'[]'::json", ()), default=list
            ),
        ),
        schema.AlterColumn(
            model_name="periodictask",
            name="enabled",
            field=models.BooleanField(db_default=True, default=True),
        ),
        schema.AlterColumn(
            model_name="periodictask",
            name="kwargs",
            field=reproq_django.fields.ExactJSONField(
                db_default=django.db.models.expressions.RawSQL("'{}'::json", ()), default=dict
            ),
        ),
        schema.AlterColumn(
            model_name="periodictask",
            name="priority",
            field=models.SmallIntegerField(db_default=0, default=0),
        ),
        schema.AlterColumn(
            model_name="periodictask",
            name="queue_name",
            field=models.TextField(db_default="default", default="default"),
        ),
        schema.AlterColumn(
            model_name="periodictask",
            name="time_zone",
            field=models.TextField(db_default="UTC", default=reproq_django.periodic_tasks.default_time_zone),
        ),
        schema.AddKey(
            model_name="periodictask",
            index=models.Index(condition=models.Q(("enabled", True)), fields=["wake_at"], name="periodic_tasks_wake"),
        ),
        schema.AddKey(
            model_name="periodictask",
            index=models.Index(
                condition=models.Q(("queued_due_at__isnull", False)),
                fields=["queued_due_at"],
                name="periodic_tasks_queued",
            ),
        ),
        schema.AddRule(
            model_name="periodictask",
            constraint=models.CheckConstraint(
                condition=models.Q(("overlap__in", ["allow", "skip", "queue_one"])), name="periodic_tasks_overlap_known"
            ),
        ),
        schema.AddRule(
            model_name="periodictask",
            constraint=models.CheckConstraint(
                condition=models.Q(("catch_up__in", ["none", "latest", "all"])), name="periodic_tasks_catch_up_known"
            ),
        ),
        schema.AddRule(
            model_name="periodictask",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("catch_up_bound__range", (1, 1000)),
                    ("jitter_seconds__range", (0, 86400.0)),
                    ("max_attempts__gte", 1),
                    ("priority__range", (-100, 100)),
                ),
                name="periodic_tasks_bounded",
            ),
        ),
        schema.AddRule(
            model_name="periodictask",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("start_at__isnull", True), ("start_at__range", READABLE), _connector="OR"),
                    models.Q(
                        ("end_at__isnull", True),
                        ("end_at__range", READABLE),
                        _connector="OR",
                    ),
                    models.Q(
                        ("start_at__isnull", True),
                        ("end_at__isnull", True),
                        ("end_at__gte", models.F("start_at")),
                        _connector="OR",
                    ),
                ),
                name="periodic_tasks_times_readable",
            ),
        ),
        schema.AddRule(
            model_name="tick",
            constraint=models.UniqueConstraint(fields=("periodic_task_id", "due_at"), name="reproq_ticks_once"),
        ),
        schema.AddRule(
            model_name="tick",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("outcome__in", ["enqueued", "caught_up"]), ("run_id__isnull", False)),
                    models.Q(("outcome__in", ["queued", "skipped"]), ("run_id__isnull", True)),
                    _connector="OR",
                ),
                name="reproq_ticks_run_if_enqueued",
            ),
        ),
        schema.Install(
            "settle_periodic",
            undo="DROP TRIGGER reproq_settle ON periodic_tasks; DROP FUNCTION reproq_settle_periodic_task()",
        ),
        schema.Install(
            "periodic",
            undo="DROP FUNCTION reproq_enqueue_periodic_task; DROP FUNCTION reproq_fire_periodic_tasks",
            until="0003",
        ),
        schema.Install(
            "wake_of_ticks",
            undo="DROP TRIGGER reproq_wake_workers ON reproq_ticks; DROP FUNCTION reproq_wake_for_tick()",
        ),
        schema.Install("schema_version_2", undo="UPDATE reproq_meta SET schema_version = 1"),
        schema.InstallLast("periodic_comments", undo="SELECT 1"),
    ]
