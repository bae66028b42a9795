"""The quickstart's application."""

from django.apps import AppConfig


class QuickstartConfig(AppConfig):
    name = "reproq_django.quickstart"
    label = "quickstart"
    default_auto_field = "django.db.models.BigAutoField"
