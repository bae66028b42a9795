"""The signals of a run, sent as Django does, and not at all where only Django itself listens, to log nothing.

Django connects a receiver of its own to each, which writes a log line. Where nobody shows that line (an enqueue's is
for debugging, and the children of a worker show none unless the project has set a level), finding and calling it costs
more than a task that does nothing.
"""

import logging
from collections.abc import Iterable
from typing import Any, Final
from weakref import ref

from django.dispatch import Signal
from django.tasks import TaskResult, TaskResultStatus
from django.tasks.signals import (
    log_task_enqueued,
    log_task_finished,
    log_task_started,
    task_enqueued,
    task_finished,
    task_started,
)

_log: Final = logging.getLogger("django.tasks")


def send_enqueued(sender: type, results: Iterable[TaskResult]) -> None:
    """Send task_enqueued for each result, in their order. What a receiver raises is raised here."""
    if _log.isEnabledFor(logging.DEBUG) or not _hears_nobody_but(task_enqueued, _DJANGOS_ENQUEUE):
        for result in results:
            task_enqueued.send(sender=sender, task_result=result)


def send_started(sender: type, result: TaskResult) -> None:
    """Send task_started. What a receiver raises is raised here."""
    if _log.isEnabledFor(logging.INFO) or not _hears_nobody_but(task_started, _DJANGOS_START):
        task_started.send(sender=sender, task_result=result)


def send_finished(sender: type, result: TaskResult) -> None:
    """Send task_finished. What a receiver raises is logged by Django."""
    fails = result.status is TaskResultStatus.FAILED  # Django logs that as an error
    if fails or _log.isEnabledFor(logging.INFO) or not _hears_nobody_but(task_finished, _DJANGOS_END):
        task_finished.send_robust(sender=sender, task_result=result)


def _hears_nobody_but(signal: Signal, key: object) -> bool:
    """Whether the receiver that is registered under this key is the only one."""
    receivers = signal.receivers
    return not receivers or (len(receivers) == 1 and receivers[0][0] == key)


def _key_of(signal: Signal, receiver: Any) -> object:
    """What Django has registered this receiver under, for any sender; None where the project has disconnected it."""
    for key, known, *_ in signal.receivers:
        if isinstance(known, ref) and known() is receiver:  # others are receivers themselves, and not to be called
            return key
    return None


_DJANGOS_ENQUEUE: Final = _key_of(task_enqueued, log_task_enqueued)
_DJANGOS_START: Final = _key_of(task_started, log_task_started)
_DJANGOS_END: Final = _key_of(task_finished, log_task_finished)
