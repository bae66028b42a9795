"""The list of runs: its scope, and the columns that it reads. Large texts are cut by the database, not by Python."""

from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db import connections
from django.db.models import QuerySet, TextField
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Left
from django.http import HttpRequest

from reproq.store.insight import estimate_runs
from reproq_django.admin.render import MAX_LINE
from reproq_django.admin.scope import BEFORE, Scope, scope_of

NEVER_LISTED = ("args", "kwargs", "return_value", "errors", "worker_ids", "backoff_seconds")


class RunList(ChangeList):
    """A ChangeList that never looks at more than its scope."""

    scope: Scope
    missing_page: int | None = None

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """`before` is no column."""
        found = super().get_filters_params(params)
        return {name: value for name, value in found.items() if name != BEFORE}

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        runs = super().get_queryset(request, exclude_parameters)
        self.scope = scope_of(self.model_admin.every_run(), self.params, self.query)
        return runs.filter(self.scope.condition).defer(*NEVER_LISTED).annotate(**columns())

    def get_results(self, request: HttpRequest) -> None:
        """A page beyond the last one shows the first, and says so."""
        try:
            super().get_results(request)
        except IncorrectLookupParameters:
            self.missing_page, self.page_num = self.page_num, 1
            super().get_results(request)

    @property
    def notes(self) -> list[str]:
        """What the reader must know about this list: how far it looked, and what it could not show."""
        notes = [self.scope.note] if self.scope.note else []
        if self.scope.older and (rows := self._estimate()):
            notes.append(f"There are about {rows:,} in all.")
        if self.missing_page is not None:
            notes.append(f"There is no page {self.missing_page:,} here; this is the first.")
        return notes

    @property
    def older_link(self) -> str:
        """The list of the next older window; empty where there is none."""
        return self.get_query_string({BEFORE: self.scope.older}) if self.scope.older else ""

    @property
    def newest_link(self) -> str:
        """Back to the newest window; empty where this is it."""
        return self.get_query_string(remove=[BEFORE]) if BEFORE in self.params else ""

    def _estimate(self) -> int | None:
        with connections[self.model_admin.alias].cursor() as cursor:
            return estimate_runs(cursor)


def columns() -> dict[str, Any]:
    """What the list shows of the large columns."""
    return {
        "args_line": Left(Cast("args", TextField()), MAX_LINE + 1),
        "kwargs_line": Left(Cast("kwargs", TextField()), MAX_LINE + 1),
        "error_kind": KT("errors__-1__kind"),
        "error_class": KT("errors__-1__exception_class"),
        "error_head": Left(KT("errors__-1__message"), MAX_LINE + 1),
    }
