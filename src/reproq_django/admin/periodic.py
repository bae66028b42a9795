"""The page of `periodic_tasks`: made and edited by people, so everything is checked before it is stored."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.forms.utils import ErrorList
from django.http import HttpRequest

from reproq_django.admin.database import OneDatabase
from reproq_django.admin.render import line
from reproq_django.models import PeriodicTask
from reproq_django.periodic_rules import MAX_PRIORITY

ONE_LINE = ("name", "cron_expr", "time_zone", "backend", "task_path", "queue_name")
TIMING = ("cron_expr", "time_zone", "jitter_seconds", "start_at", "end_at")
POLICIES = ("overlap", "catch_up", "catch_up_bound")
CALL = ("backend", "task_path", "args", "kwargs", "queue_name", "priority")
RUNS = ("max_attempts", "timeout_seconds", "expires_in_seconds", "on_lost_contact")


class PeriodicTaskForm(forms.ModelForm):
    """Refuses what a scheduler could not fire, or a worker could not run; the reason stands at its field."""

    alias = "default"  # set by the page: names are unique on its database
    priority = forms.IntegerField(min_value=-MAX_PRIORITY, max_value=MAX_PRIORITY, initial=0)

    class Meta:
        model = PeriodicTask
        fields = ("name", "description", "enabled", *TIMING, *POLICIES, *CALL, *RUNS)
        widgets = dict.fromkeys(ONE_LINE, AdminTextInputWidget)
        help_texts = {  # noqa: RUF012
            "cron_expr": "Five fields (minute, hour, day of month, month, day of week), six with seconds first, or "
            "@hourly, @daily, @weekly, @monthly, @yearly.",
            "time_zone": "A name of the IANA database, such as UTC or Europe/Berlin.",
            "jitter_seconds": "It is due later by up to this, always by the same; how much is drawn from its name.",
            "overlap": "What becomes of a tick while the run before has not finished.",
            "catch_up": "Which of the ticks that nobody fired in time are made up for.",
            "catch_up_bound": "How many of them at most.",
            "timeout_seconds": "What one attempt may take; empty takes the worker's.",
            "expires_in_seconds": "How long after its enqueue a run may still start; empty: for ever.",
            "on_lost_contact": "What a run does while its worker has lost the database; one that must not overlap with "
            "its next attempt says stop.",
            "task_path": "Module and name of the task, such as shop.tasks.remind.",
            "args": "A JSON array.",
            "kwargs": "A JSON object.",
        }

    def _post_clean(self) -> None:
        """The model judges; what could not be read here has been told already."""
        self.instance.unread = frozenset(self.errors)
        super()._post_clean()

    def validate_unique(self) -> None:
        """Django would ask the router's database."""
        same = PeriodicTask.objects.using(self.alias).filter(name=self.instance.name).exclude(pk=self.instance.pk)
        if "name" in self.cleaned_data and same.exists():
            self.add_error("name", ErrorList(["A periodic task of this name exists already."]).as_data())


class PeriodicTaskAdmin(OneDatabase):
    """Periodic tasks. When a timetable changes, its next tick is computed anew."""

    form = PeriodicTaskForm
    list_display = ("label", "enabled", "cron", "zone", "task", "queue", "next_run_at", "last_run_at", "trouble")
    list_filter = ("enabled",)
    search_fields = ("name", "task_path")
    list_per_page = 100
    ordering = ("name",)
    sortable_by = ()
    readonly_fields = ("origin", "next_run_at", "last_run_at", "last_run_id", "fault")
    fieldsets = (
        (None, {"fields": ("name", "description", "enabled", "origin")}),
        ("When", {"fields": TIMING}),
        ("Policies", {"fields": POLICIES}),
        ("What", {"fields": CALL}),
        ("Its runs", {"fields": RUNS}),
        ("So far", {"fields": ("next_run_at", "last_run_at", "last_run_id", "fault")}),
    )

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"alias": self.alias})

    @admin.display(description="name")
    def label(self, job: Any) -> str:
        return line(job.name)

    @admin.display(description="schedule")
    def cron(self, job: Any) -> str:
        return line(job.cron_expr)

    @admin.display(description="time zone")
    def zone(self, job: Any) -> str:
        return line(job.time_zone)

    @admin.display(description="task")
    def task(self, job: Any) -> str:
        return line(job.task_path)

    @admin.display(description="fault")
    def trouble(self, job: Any) -> str:
        return line(job.fault)

    @admin.display(description="queue")
    def queue(self, job: Any) -> str:
        return line(job.queue_name)
