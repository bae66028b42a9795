"""The filters beside the list of runs. Their choices come from the code or from a bounded look at the table."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.db import connections
from django.db.models import QuerySet
from django.http import HttpRequest

from reproq.lifecycle import Kind
from reproq.store.queues import ready_queues
from reproq_django.admin.render import line
from reproq_django.admin.scope import window_of
from reproq_django.models import STATUS_CHOICES

MAX_CHOICES = 50


class Choice(SimpleListFilter):
    """A filter that refuses a value which is none of its choices."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        if self.value() not in dict(self.lookup_choices):
            raise IncorrectLookupParameters(f"{self.parameter_name} is none of the choices")
        return self.narrow(queryset, self.value())

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        raise NotImplementedError


class StatusFilter(Choice):
    """By status."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return STATUS_CHOICES

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(status=value)


class ErrorKindFilter(Choice):
    """By the kind of the newest error."""

    title = "newest error"
    parameter_name = "error"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.value, kind.value.replace("_", " ")) for kind in Kind]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(**{"errors__-1__kind": value})


class QueueFilter(SimpleListFilter):
    """By queue: those that hold READY runs, by a loose scan of the claim index, and those of the newest window."""

    title = "queue"
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        with connections[model_admin.alias].cursor() as cursor:
            names = set(ready_queues(cursor))
        runs = model_admin.every_run()
        names.update(runs.filter(window_of(runs).condition).order_by().values_list("queue_name", flat=True).distinct())
        return [(name, line(name)) for name in sorted(names)[:MAX_CHOICES]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = self.value()
        if name is None:
            return queryset
        return queryset.none() if "\0" in name else queryset.filter(queue_name=name)
