"""`on_lost_contact`: whether a run is stopped before its lease ends while its worker has lost the database."""

from django.db import migrations, models

from reproq_django import schema


class Migration(migrations.Migration):
    dependencies = [
        ("reproq_django", "0003_pg_cron"),
    ]

    operations = [
        schema.AddColumn(
            model_name="taskrun",
            name="on_lost_contact",
            field=models.TextField(blank=True, choices=[("continue", "continue"), ("stop", "stop")], null=True),
        ),
        schema.AddColumn(
            model_name="periodictask",
            name="on_lost_contact",
            field=models.TextField(
                choices=[("continue", "continue"), ("stop", "stop")], db_default="continue", default="continue"
            ),
        ),
        schema.AddRule(
            model_name="taskrun",
            constraint=models.CheckConstraint(
                condition=models.Q(("on_lost_contact__in", ["continue", "stop"])),
                name="task_runs_on_lost_contact_known",
            ),
        ),
        schema.AddRule(
            model_name="periodictask",
            constraint=models.CheckConstraint(
                condition=models.Q(("on_lost_contact__in", ["continue", "stop"])),
                name="periodic_tasks_on_lost_contact_known",
            ),
        ),
        schema.Replace("enqueue", was_until="0003", drop="DROP FUNCTION reproq_enqueue"),
        schema.Replace("insert_run", was_until="0003", drop="DROP PROCEDURE reproq_insert_run"),
        schema.Replace("periodic", was_until="0003", drop="SELECT 1"),
        schema.Install("schema_version_3", undo="UPDATE reproq_meta SET schema_version = 2"),
        schema.InstallLast("lost_contact_comments", undo="SELECT 1"),
    ]
