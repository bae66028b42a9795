"""The settings of a backend: every mistake is a system check with a code and a hint."""

import pytest
from django.core import checks
from django.tasks import task_backends
from django.test import override_settings

from reproq_django.conf import database_aliases, migrate_command, options_source, queue_names_in
from tests.django.conftest import OURS

pytestmark = pytest.mark.usefixtures("django_project")


def found(options=None, **params):
    """What the checks say of a backend with these settings."""
    settings = {"BACKEND": OURS, **params}
    if options is not None:
        settings["OPTIONS"] = options
    with override_settings(TASKS={"default": settings}):
        return [problem for problem in checks.run_checks() if (problem.id or "").startswith("reproq.")]


def faults(options=None, **params):
    """The same, without what a project is merely asked."""
    return [problem for problem in found(options, **params) if problem.level > checks.INFO]


@pytest.mark.parametrize(
    "options",
    [{}, {"MAX_ATTEMPTS": 5, "TIMEOUT": "5m", "LEASE": 60, "HEARTBEAT": 20}, {"queues": "*", "Backoff": [1, 2]}],
)
def test_good_settings_have_no_finding(options):
    assert found(options | {"RETENTION": "30d"}) == []


@pytest.mark.parametrize("options", [None, {}])
def test_a_project_that_has_not_chosen_how_long_runs_are_kept_is_asked_to(options):
    (asked,) = found(options)
    assert (asked.id, asked.level) == ("reproq.I014", checks.INFO)
    assert "successful ones after 30 days, failed and cancelled ones after 90" in asked.msg
    assert "{'RETENTION': 'off'} to keep everything" in asked.hint


def test_a_retention_of_a_queue_that_no_task_can_be_in_is_an_error():
    options = {"RETENTION": {"queues": {"mial": "1d", "mail": "off"}}}
    (problem,) = found(options, QUEUES=["default", "mail"])
    assert problem.id == "reproq.E015"
    assert "Did you mean 'mail'? QUEUES has default, mail" in problem.hint
    assert found(options, QUEUES=[]) == []


@pytest.mark.parametrize(
    ("options", "code", "hint"),
    [
        ({"MAX_ATEMPTS": 3}, "reproq.E001", "Did you mean 'MAX_ATTEMPTS'?"),
        ({"zzz": 3}, "reproq.E001", "The keys are BACKOFF, BEAT, BEAT_INTERVAL, COMMANDS"),
        ({"DSN": "postgresql://"}, "reproq.E001", "name an alias of DATABASES in DATABASE"),
        ({"MAX_ATTEMPTS": 0}, "reproq.E002", "Correct the value"),
        ({"TIMEOUT": "soon"}, "reproq.E002", "Correct the value"),
        ({"TIMEOUT": 0}, "reproq.E002", "Correct the value"),
        ({"TIMEOUT": "31d"}, "reproq.E002", "Correct the value"),
        ({"EXPIRES_IN": "1h"}, "reproq.E001", "The keys are"),
        ({"LEASE": 10, "HEARTBEAT": 5}, "reproq.E002", "Correct the value"),
        ({"BACKOFF": "never"}, "reproq.E002", "Write '5s'"),
        ({"TIMEOUT": 1, "timeout": 2}, "reproq.E002", "Keep one"),
        ({"DATABASE": "nowhere"}, "reproq.E003", "The aliases are default"),
        ({"DATABASE": ["default"]}, "reproq.E003", "The aliases are default"),
        (["MAX_ATTEMPTS"], "reproq.E006", "MAX_ATTEMPTS"),
        ({"RETENTION": "0"}, "reproq.E002", "Correct the value"),
        ({"RETENTION": 30}, "reproq.E002", "Correct the value"),
        ({"RETENTION": {"done": "1d"}}, "reproq.E002", "Correct the value"),
        ({"TASK_ALIASES": ["a.b"]}, "reproq.E007", "shop.tasks.old_name"),
        ({"TASK_ALIASES": {"a.b": "c.d", "c.d": "a.b"}}, "reproq.E007", "shop.tasks.old_name"),
    ],
)
def test_a_mistake_is_an_error_with_a_hint(options, code, hint):
    problems = faults(options)
    assert {problem.id for problem in problems} == {code}
    assert all(problem.level == checks.ERROR for problem in problems)
    assert hint in problems[0].hint


@pytest.mark.parametrize("queues", ["default", 7, ["a,b"], [""], [3]])
def test_queues_that_are_no_list_of_names_are_an_error(queues):
    assert faults(QUEUES=queues)[0].id == "reproq.E008"


def test_all_mistakes_are_told_at_once():
    codes = {problem.id for problem in faults({"X": 1, "TIMEOUT": "x", "DATABASE": "y"}, QUEUES="abc")}
    assert codes == {"reproq.E001", "reproq.E002", "reproq.E003", "reproq.E008"}


def test_another_database_is_a_warning_since_tests_may_run_on_one(sqlite):
    (problem,) = faults({"DATABASE": sqlite})
    assert (problem.id, problem.level) == ("reproq.W004", checks.WARNING)
    assert "reproq_django.testing" in problem.hint


def test_a_missing_app_is_the_one_thing_told():
    with override_settings(INSTALLED_APPS=[], TASKS={"default": {"BACKEND": OURS, "OPTIONS": {"X": 1}}}):
        (problem,) = task_backends["default"].check()
    assert problem.id == "reproq.E005"
    assert "reproq_django" in problem.hint


def test_the_remedy_for_missing_tables_names_the_app_where_the_project_lacks_it():
    command = "python manage.py migrate reproq_django --database default"
    assert migrate_command("default") == command
    with override_settings(INSTALLED_APPS=[]):
        assert migrate_command("default") == f'{command} (first add "reproq_django" to INSTALLED_APPS, which lacks it)'


def test_the_engine_gets_the_knobs_and_unknown_names_but_not_our_own_keys():
    options = {"Database": "default", "TASK_ALIASES": {}, "BACKOFF": 1, "Lease": "1m", "OOPS": 1}
    with override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": options}}):
        assert options_source("default").values == {"lease": "1m", "oops": 1}


def test_only_the_databases_of_our_backends_are_ours():
    ours = {"BACKEND": OURS, "OPTIONS": {"database": "far"}}
    other = {"BACKEND": "django.tasks.backends.dummy.DummyBackend", "OPTIONS": {"DATABASE": "other"}}
    with override_settings(TASKS={"default": other, "a": ours, "b": {"BACKEND": "does.not.exist"}}):
        assert database_aliases() == {"far"}


@pytest.mark.parametrize(
    ("others", "allowed"),
    [
        ({}, ("default", "mail")),
        ({"second": {"BACKEND": OURS, "QUEUES": ["mail", "media"]}}, ("default", "mail", "media")),
        ({"second": {"BACKEND": OURS, "QUEUES": []}}, ()),
        ({"far": {"BACKEND": OURS, "QUEUES": [], "OPTIONS": {"DATABASE": "far"}}}, ("default", "mail")),
        ({"now": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend", "QUEUES": []}}, ("default", "mail")),
    ],
)
def test_the_queues_of_a_database_are_those_of_all_our_backends_there(others, allowed):
    with override_settings(TASKS={"default": {"BACKEND": OURS, "QUEUES": ["default", "mail"]}, **others}):
        assert queue_names_in("default") == allowed
