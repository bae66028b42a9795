"""The page of `periodic_tasks`: made and edited by people, so everything is checked before it is stored."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.forms.utils import ErrorList
from django.http import HttpRequest

from reproq.errors import InvalidArguments
from reproq.queue_names import queue_name_fault
from reproq.spec import make_spec
from reproq_django.admin.database import OneDatabase
from reproq_django.admin.render import line
from reproq_django.models import PeriodicTask
from reproq_django.timetable import cron_fault, task_path_fault, time_zone_fault

MAX_PRIORITY = 100
ONE_LINE = ("name", "cron_expr", "time_zone", "task_path", "queue_name")
FAULTS = {
    "cron_expr": cron_fault,
    "time_zone": time_zone_fault,
    "task_path": task_path_fault,
    "queue_name": queue_name_fault,
}


class PeriodicTaskForm(forms.ModelForm):
    """Refuses what a scheduler could not fire, or a worker could not run; the reason stands at its field."""

    alias = "default"  # set by the page: names are unique on its database
    priority = forms.IntegerField(min_value=-MAX_PRIORITY, max_value=MAX_PRIORITY, initial=0)

    class Meta:
        model = PeriodicTask
        fields = ("name", "enabled", "cron_expr", "time_zone", "task_path", "args", "kwargs", "queue_name", "priority")
        widgets = dict.fromkeys(ONE_LINE, AdminTextInputWidget)
        help_texts = {  # noqa: RUF012
            "cron_expr": "Five fields (minute, hour, day of month, month, day of week), or six with seconds first.",
            "time_zone": "A name of the IANA database, such as UTC or Europe/Berlin.",
            "task_path": "Module and name of the task, such as shop.tasks.remind.",
            "args": "A JSON array.",
            "kwargs": "A JSON object.",
        }

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        for name, fault in FAULTS.items():
            if name in values and (reason := fault(values[name])):
                self.add_error(name, f"This {reason}." if name == "queue_name" else reason)
        if not {"task_path", "args", "kwargs"} - self.cleaned_data.keys():
            self._check_spec()
        return values

    def _check_spec(self) -> None:
        values = self.cleaned_data
        try:
            make_spec(values["task_path"], values["args"], values["kwargs"])
        except InvalidArguments as refusal:
            self.add_error("kwargs" if refusal.path.startswith("kwargs") else "args", str(refusal))

    def validate_unique(self) -> None:
        """Django would ask the router's database."""
        same = PeriodicTask.objects.using(self.alias).filter(name=self.instance.name).exclude(pk=self.instance.pk)
        if "name" in self.cleaned_data and same.exists():
            self.add_error("name", ErrorList(["A periodic task of this name exists already."]).as_data())


class PeriodicTaskAdmin(OneDatabase):
    """Periodic tasks. When a timetable changes, its next tick is computed anew."""

    form = PeriodicTaskForm
    list_display = ("label", "enabled", "cron", "zone", "task", "queue", "next_run_at", "last_run_at")
    list_filter = ("enabled",)
    search_fields = ("name", "task_path")
    list_per_page = 100
    ordering = ("name",)
    sortable_by = ()
    readonly_fields = ("next_run_at", "last_run_at")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"alias": self.alias})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if {"cron_expr", "time_zone"} & set(form.changed_data):
            obj.next_run_at = None
        super().save_model(request, obj, form, change)

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

    @admin.display(description="queue")
    def queue(self, job: Any) -> str:
        return line(job.queue_name)
