"""The Django application."""

from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_delete, post_migrate, post_save


class ReproqConfig(AppConfig):
    name = "reproq_django"
    label = "reproq_django"
    verbose_name = "Reproq"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Django registers the checks of TASKS when its tasks are imported, which `manage.py check` does not do."""
        import django.tasks  # noqa: F401

        from reproq_django import database_checks, migrated, pgcron, schedule_checks

        checks.register(database_checks.check_presence)
        checks.register(database_checks.check_routing)
        checks.register(database_checks.check_sharing)
        checks.register(schedule_checks.check_declarations)
        checks.register(database_checks.check_tables, checks.Tags.database)
        post_migrate.connect(migrated.sync_schedules, sender=self)
        post_migrate.connect(pgcron.after_migrate, sender=self)
        post_save.connect(pgcron.after_change, sender="reproq_django.PeriodicTask")
        post_delete.connect(pgcron.after_change, sender="reproq_django.PeriodicTask")
