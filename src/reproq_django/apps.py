"""The Django application."""

from django.apps import AppConfig


class ReproqConfig(AppConfig):
    name = "reproq_django"
    label = "reproq_django"
    verbose_name = "Reproq"
    default_auto_field = "django.db.models.BigAutoField"
