"""The pages of Django's admin: runs, workers and periodic tasks. Django imports this package, and it registers them.

Every list looks at a bounded part of its table, everything stored is shown as text, and what changes a run is an action
with a permission of its own.
"""

from django.contrib import admin

from reproq_django.admin.periodic import PeriodicTaskAdmin
from reproq_django.admin.runs import TaskRunAdmin
from reproq_django.admin.workers import WorkerAdmin
from reproq_django.models import PeriodicTask, TaskRun, Worker

admin.site.register(TaskRun, TaskRunAdmin)
admin.site.register(Worker, WorkerAdmin)
admin.site.register(PeriodicTask, PeriodicTaskAdmin)
