"""A project that has the app and no backend of ours, or a queue that nobody named, is told so."""

import logging

import pytest
from django.tasks.exceptions import InvalidTask
from django.test import override_settings

from reproq_django.database_checks import check_presence
from reproq_django.executor import _quieten_django
from tests.django import tasks

OURS = "reproq_django.backend.ReproqBackend"


@pytest.mark.parametrize(
    ("backend", "warned"),
    [
        ("django.tasks.backends.immediate.ImmediateBackend", True),
        ("reproq_django.testing.ImmediateBackend", False),
        (OURS, False),
    ],
)
def test_an_app_without_a_backend_is_warned_of(backend, warned):
    with override_settings(TASKS={"default": {"BACKEND": backend}}):
        assert [message.id for message in check_presence()] == (["reproq.W013"] if warned else [])


def test_a_queue_that_nobody_named_is_refused_with_task_setting_and_remedy():
    with override_settings(TASKS={"default": {"BACKEND": OURS, "QUEUES": ["mail"]}}):
        with pytest.raises(InvalidTask) as refusal:
            tasks.add.using(queue_name="slow")
        for part in ("tests.django.tasks.add", "'slow'", "TASKS['default']['QUEUES']", "it has 'mail'", "add it there"):
            assert part in str(refusal.value)


@pytest.mark.parametrize(
    ("set_by_project", "becomes"), [(logging.NOTSET, logging.WARNING), (logging.DEBUG, logging.DEBUG)]
)
def test_djangos_lines_about_every_task_stay_out_of_the_logs_of_runs(set_by_project, becomes):
    logger = logging.getLogger("django.tasks")
    before = logger.level
    try:
        logger.setLevel(set_by_project)
        _quieten_django()
        assert logger.level == becomes
    finally:
        logger.setLevel(before)
