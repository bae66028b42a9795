"""The page of `reproq_workers`: who is there, and who has not been seen for longer than a lease."""

from typing import Any

from django.contrib import admin
from django.db.models import DurationField, ExpressionWrapper, F, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from reproq.config import load
from reproq.errors import ConfigurationError
from reproq.values import lasting
from reproq_django import conf
from reproq_django.admin.database import OneDatabase
from reproq_django.admin.render import line

FIELDS = (
    *("name", "role", "beats", "seen", "state", "host", "pid", "served", "executor_name", "concurrency", "release"),
    "started_at",
)


class WorkerAdmin(OneDatabase):
    """Workers write their own rows; people only read them."""

    list_display = FIELDS
    fields = FIELDS
    readonly_fields = FIELDS
    list_per_page = 100
    sortable_by = ()
    ordering = ("-last_seen_at", "worker_id")
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the time since the last heartbeat, by the database's clock."""
        unseen = ExpressionWrapper(Now() - F("last_seen_at"), output_field=DurationField())
        return super().get_queryset(request).annotate(unseen=unseen)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def lease_seconds(self) -> float:
        """The lease of the settings; a worker that was not seen for longer is taken for lost."""
        try:
            return float(load(conf.options_source(self.tasks_alias)).lease)
        except ConfigurationError:  # a system check says what is wrong
            return float(load().lease)

    @admin.display(description="worker")
    def name(self, worker: Any) -> str:
        return line(worker.worker_id, 200)

    @admin.display(description="seen")
    def seen(self, worker: Any) -> str:
        return f"seen {lasting(worker.unseen.total_seconds())} ago"

    @admin.display(description="state")
    def state(self, worker: Any) -> str | SafeString:
        if worker.unseen.total_seconds() > self.lease_seconds():
            return format_html("<strong>{}</strong>", "stale: no heartbeat for longer than a lease")
        return "draining" if worker.draining else "alive"

    @admin.display(description="host")
    def host(self, worker: Any) -> str:
        return line(worker.hostname)

    @admin.display(description="queues")
    def served(self, worker: Any) -> str:
        return line(", ".join(worker.queues), 300)

    @admin.display(description="executor")
    def executor_name(self, worker: Any) -> str:
        return line(worker.executor)

    @admin.display(description="version")
    def release(self, worker: Any) -> str:
        return line(worker.version)
