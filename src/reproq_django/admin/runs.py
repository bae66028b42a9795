"""The pages of `task_runs`: a bounded list, and a page for one run that only reads."""

import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast, Left
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from reproq.error_lines import error_line
from reproq.errors import RunLocked
from reproq.lifecycle import Status
from reproq.store.runs import result_id
from reproq_django.admin.actions import RunActions
from reproq_django.admin.database import OneDatabase
from reproq_django.admin.filters import ErrorKindFilter, QueueFilter, StatusFilter
from reproq_django.admin.render import MAX_BLOCK, MAX_LINE, block, document, line
from reproq_django.admin.run_list import RunList
from reproq_django.models import RunLog

MAX_ERRORS = 25
DOCUMENTS = ("args", "kwargs", "return_value")
LIMITS = ("backoff", "timeout_seconds", "on_lost_contact")
SECTIONS = (
    (None, {"fields": ("task", "result_id", "status", "waiting", "queue", "priority", "tasks_alias_of", "replays")}),
    ("Spec", {"fields": ("args_text", "kwargs_text", "spec_hash")}),
    ("Outcome", {"fields": ("return_text", "errors_text", "printed")}),
    ("Attempts", {"fields": ("attempts", "failures", "max_attempts", "releases", *LIMITS)}),
    ("Workers", {"fields": ("workers", "held_by", "claimed_at", "lease_expires_at", "cancel_requested_at")}),
    ("Due", {"fields": ("enqueued_at", "run_after", "due_at", "expires_at")}),
    ("Times", {"fields": ("started_at", "last_attempted_at", "finished_at")}),
)  # fmt: skip


def text_of(name: str, label: str, limit: int = MAX_LINE) -> Callable[[Any, Any], str]:
    """A column that shows one stored text on one line."""

    @admin.display(description=label, empty_value="-")
    def show(self: Any, run: Any) -> str:
        return line(getattr(run, name), limit)

    return show


class TaskRunAdmin(RunActions, OneDatabase):
    """Runs: looked at here, changed by actions only."""

    list_display = ("id", "task", "status", "queue", "priority", "tries", "due_at", "finished_at", "error", "arguments")
    list_filter = (StatusFilter, QueueFilter, ErrorKindFilter)
    list_per_page = 50
    search_fields = ("id",)  # shows the box; what is searched is decided in scope.py
    search_help_text = (
        "An id, a result id, part of a task's path, a queue, a spec hash or its beginning, or a worker's id."
    )
    sortable_by = ()
    ordering = ("-id",)
    fieldsets = SECTIONS
    readonly_fields = tuple(name for _, section in SECTIONS for name in section["fields"])

    task = text_of("task_path", "task", 300)
    queue = text_of("queue_name", "queue", 200)
    tasks_alias_of = text_of("backend", "backend")
    waiting = text_of("waiting_reason", "waiting because", 1000)
    held_by = text_of("worker_id", "held by")

    def every_run(self) -> QuerySet[Any]:
        """The whole table on its database, for statements that bring their own bounds."""
        return self.model._base_manager.using(self.alias)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RunList]:
        return RunList

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        """The list's scope searches."""
        return queryset, False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only our filters: any other look-up could be a scan."""
        return lookup in {one.parameter_name for one in self.list_filter}

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """One run; of its documents, only as much as the page shows."""
        run = super().get_object(request, object_id, from_field)
        if run is not None:
            heads = {f"{name}_head": Left(Cast(name, TextField()), MAX_BLOCK + 1) for name in DOCUMENTS}
            run.heads = self.every_run().filter(pk=run.pk).values(**heads).first() or {}
        return run

    # -- who may do what: nobody adds or edits a run, and only a finished one is deleted

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or Status(obj.status).is_finished)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """A run that was retried meanwhile stays; what one printed goes with it."""
        with transaction.atomic(using=self.alias), self.not_waiting_long([obj.pk]):
            deleted, _ = self.every_run().filter(pk=obj.pk, finished_at__isnull=False).delete()
            if deleted:
                RunLog._base_manager.using(self.alias).filter(run_id=obj.pk).delete()

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """Django's; a run whose row is locked stays, and whoever wants it deleted is told why."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except RunLocked as error:
            self.tell_of_a_lock(request, error)
            return HttpResponseRedirect(self.page_of(object_id))

    def page_of(self, run_id: object) -> str:
        """The address of a run's own page."""
        return reverse(f"{self.admin_site.name}:reproq_django_taskrun_change", args=[run_id])

    # -- columns of the list

    @admin.display(description="attempts")
    def tries(self, run: Any) -> str:
        return f"{run.attempts} of {run.max_attempts}"

    @admin.display(description="newest error")
    def error(self, run: Any) -> str:
        return line(error_line(run.error_kind, run.error_class, run.error_head)) if run.error_kind else ""

    @admin.display(description="arguments")
    def arguments(self, run: Any) -> str:
        return line(run.args_line if run.kwargs_line == "{}" else f"{run.args_line} {run.kwargs_line}")

    # -- fields of one run

    @admin.display(description="result id")
    def result_id(self, run: Any) -> str:
        return result_id(run.pk, run.nonce)

    @admin.display(description="replay of")
    def replays(self, run: Any) -> str | SafeString:
        if run.replay_of is None:
            return "-"
        return format_html('<a href="{}">run {}</a>', self.page_of(run.replay_of), run.replay_of)

    @admin.display(description="args")
    def args_text(self, run: Any) -> SafeString | str:
        return document(run.heads.get("args_head"))

    @admin.display(description="kwargs")
    def kwargs_text(self, run: Any) -> SafeString | str:
        return document(run.heads.get("kwargs_head"))

    @admin.display(description="return value")
    def return_text(self, run: Any) -> SafeString | str:
        return document(run.heads.get("return_value_head"))

    @admin.display(description="errors")
    def errors_text(self, run: Any) -> SafeString | str:
        newest = list(enumerate(run.errors, start=1))[-MAX_ERRORS:] if isinstance(run.errors, list) else []
        return format_html_join("", "<div>{}{}</div>", (self._entry(*one) for one in reversed(newest))) or "-"

    def _entry(self, number: int, entry: Any) -> tuple[str, SafeString | str]:
        if not isinstance(entry, dict):
            return f"{number}. ", block(json.dumps(entry))
        parts = [f"{entry.get(key)}" for key in ("kind", "exception_class", "message") if entry.get(key)]
        place = f"attempt {entry.get('attempt')}, worker {entry.get('worker_id')}, at {entry.get('at')}"
        return line(f"{number}. {place}: {' · '.join(parts)}", 2000), block(f"{entry.get('traceback') or ''}")

    @admin.display(description="printed")
    def printed(self, run: Any) -> SafeString | str:
        logs = RunLog._base_manager.using(self.alias).filter(run_id=run.pk).order_by("-attempt")[:MAX_ERRORS]
        parts = [(log, f"{log.head}\n…\n{log.tail}" if log.tail else log.head) for log in logs]
        one = "<div>attempt {}, {} bytes{}</div>"
        return format_html_join("", one, ((log.attempt, log.bytes_total, block(text)) for log, text in parts)) or "-"

    @admin.display(description="workers")
    def workers(self, run: Any) -> str:
        return line(", ".join(run.worker_ids), 2000)

    @admin.display(description="back-off")
    def backoff(self, run: Any) -> str:
        return "the default" if run.backoff_seconds is None else f"{run.backoff_seconds} s"
