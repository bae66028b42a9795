"""What pg_cron calls: fire everything that is due, and forget what pg_cron noted of our jobs."""

from django.db import migrations

from reproq_django import schema


class Migration(migrations.Migration):
    dependencies = [
        ("reproq_django", "0002_schedules"),
    ]

    operations = [
        schema.Install("fire_due", undo="DROP FUNCTION reproq_fire_due"),
        schema.Install("prune_pgcron", undo="DROP FUNCTION reproq_prune_pgcron"),
    ]
