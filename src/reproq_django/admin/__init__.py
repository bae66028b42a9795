"""The pages of Django's admin: runs, workers and periodic tasks. Django imports this package, and it registers them.

Every list looks at a bounded part of its table, everything stored is shown as text, and what changes a run is an action
with a permission of its own. A site shows one database: that of the first `TASKS` alias that is ours; `site_of` makes
the site of another.
"""

from typing import Final

from django.contrib import admin

from reproq_django.admin.database import OneDatabase
from reproq_django.admin.periodic import PeriodicTaskAdmin
from reproq_django.admin.runs import TaskRunAdmin
from reproq_django.admin.workers import WorkerAdmin
from reproq_django.models import PeriodicTask, TaskRun, Worker

PAGES: Final[dict[type, type[OneDatabase]]] = {
    TaskRun: TaskRunAdmin,
    Worker: WorkerAdmin,
    PeriodicTask: PeriodicTaskAdmin,
}


def site_of(backend: str) -> admin.AdminSite:
    """A site of its own for the database of another `TASKS` alias: `path("reports/", site_of("reports").urls)`."""
    site = admin.AdminSite(name=f"reproq-{backend}")
    site.site_header = site.site_title = f"Reproq: {backend}"
    for model, page in PAGES.items():
        site.register(model, type(page.__name__, (page,), {"backend": backend}))
    return site


for model, page in PAGES.items():
    admin.site.register(model, page)
