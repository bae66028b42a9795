"""What staff may do to runs: replay, retry, cancel. Each by POST, with a permission of its own, and logged.

Django offers an action only to those who hold its permission, and asks again before it acts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin import options
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import connections, transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from reproq.errors import RunLocked, RunNotFound
from reproq.replay import replay
from reproq.store import interventions
from reproq.store.db import Database
from reproq.store.locked import LOCK_SECONDS, bounded
from reproq.store.statements import Cursor
from reproq_django import conf
from reproq_django.project import database_address

MAX_ACTED: Final = 1_000
EVERYWHERE: Final = list(getattr(options, "ActionLocation", ()))  # from Django 6.1 on, a run's own page has actions too


class RunActions(admin.ModelAdmin):
    """The actions, and who may take them."""

    alias: str
    actions = ("replay_runs", "retry_runs", "cancel_runs")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reproq_django.replay_taskrun")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reproq_django.retry_taskrun")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reproq_django.cancel_taskrun")

    @admin.action(description="Replay: run the same spec again, as a new run", permissions=["replay"])
    def replay_runs(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._act(request, queryset, replay_all, "Replayed", "replayed, each as a new run", "gone")

    @admin.action(description="Retry: failed runs start over", permissions=["retry"])
    def retry_runs(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._act(request, queryset, interventions.retry, "Retried", "READY again", "not FAILED")

    @admin.action(description="Cancel: what has not started never will, what runs is stopped", permissions=["cancel"])
    def cancel_runs(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        became = "cancelled, or about to be stopped by their workers"
        self._act(request, queryset, cancel_all, "Cancelled", became, "finished already")

    for one in (replay_runs, retry_runs, cancel_runs):
        one.locations = EVERYWHERE  # type: ignore[attr-defined]

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """Without Django's own deletion of a selection, which would take unfinished runs too."""
        where = {} if action_location is None else {"action_location": action_location}  # Django 6.1 and later
        actions: dict[str, Any] = super().get_actions(request, **where)
        actions.pop("delete_selected", None)
        return actions

    def _act(
        self,
        request: HttpRequest,
        queryset: QuerySet[Any],
        change: Callable[[Cursor, list[int]], list[int]],
        verb: str,
        became: str,
        otherwise: str,
    ) -> None:
        ids = list(queryset.order_by("-id").values_list("id", flat=True)[: MAX_ACTED + 1])
        if len(ids) > MAX_ACTED:
            text = f"More than {MAX_ACTED:,} runs are selected, and none was changed; narrow the selection."
            self.message_user(request, text, messages.ERROR)
            return
        if not ids:
            self.message_user(request, "The selected runs have left this list meanwhile.", messages.WARNING)
            return
        try:
            with transaction.atomic(using=self.alias), self.not_waiting_long(ids) as cursor:
                changed = change(cursor, ids)
        except RunLocked as error:
            self.tell_of_a_lock(request, error)
            return
        self._log(request, changed, verb)
        left = f" {len(ids) - len(changed):,} left alone: {otherwise}." if len(changed) < len(ids) else ""
        level = messages.SUCCESS if changed else messages.WARNING
        self.message_user(request, f"{len(changed):,} {became}.{left}", level)

    @contextmanager
    def not_waiting_long(self, run_ids: list[int]) -> Iterator[Cursor]:
        """A cursor that waits only so long for what somebody's transaction holds. Raises RunLocked."""
        onlooker = Database(database_address(self.alias, starts=False), "reproq admin")
        with connections[self.alias].cursor() as cursor, bounded(cursor, run_ids, LOCK_SECONDS, onlooker):
            yield cursor

    def tell_of_a_lock(self, request: HttpRequest, error: RunLocked) -> None:
        """Say what was in the way."""
        text = str(error)
        self.message_user(request, f"{text[0].upper()}{text[1:]}.", messages.ERROR)

    def _log(self, request: HttpRequest, run_ids: list[int], verb: str) -> None:
        runs = self.model._base_manager.using(self.alias).filter(pk__in=run_ids).only("id", "task_path")
        where = f" in the database {self.alias}" if len(conf.database_aliases()) > 1 else ""  # ids are counted in each
        LogEntry.objects.log_actions(request.user.pk, list(runs), CHANGE, f"{verb}{where}.")


def cancel_all(cursor: Cursor, run_ids: list[int]) -> list[int]:
    """Cancel each run, or ask its worker to; the ids of those that had not finished."""
    return list(interventions.cancel(cursor, run_ids))


def replay_all(cursor: Cursor, run_ids: list[int]) -> list[int]:
    """Replay each run, the oldest first; the ids of those that were there."""
    replayed = []
    for run_id in sorted(run_ids):
        try:
            replay(cursor, run_id=run_id)
        except RunNotFound:
            continue
        replayed.append(run_id)
    return replayed
