"""What our pages share: they read and write the database that a `TASKS` alias names, whatever a router says."""

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from reproq_django import conf


class OneDatabase(admin.ModelAdmin):
    """A page on the tables of one `TASKS` alias. `site_of` makes the pages of a further one."""

    backend: str | None = None  # a TASKS alias; None takes the first one that is ours
    show_facets = admin.ShowFacets.NEVER  # each facet would count rows
    show_full_result_count = False

    @property
    def tasks_alias(self) -> str:
        """The `TASKS` alias whose tables are shown."""
        return self.backend or conf.first_backend()

    @property
    def alias(self) -> str:
        """The alias of DATABASES that holds them."""
        return conf.database_alias(self.tasks_alias)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return super().get_queryset(request).using(self.alias)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.save(using=self.alias)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        obj.delete(using=self.alias)
