"""What a task says of its runs: by decorator, keyword, `.using()`, OPTIONS; and which applies."""

import copy
import importlib
import importlib.util
import pickle
import sys
from datetime import timedelta

import django
import pytest
from django.tasks import Task, task
from django.tasks.exceptions import InvalidTask
from django.test import override_settings

from reproq.backoff import exponential
from reproq_django import options
from reproq_django.task_class import ReproqTask
from reproq_django.task_options import ATTRIBUTE, TaskOptions
from tests.django import tasks
from tests.django.conftest import OURS

FROM_61 = pytest.mark.skipif(django.VERSION < (6, 1), reason="not on this platform: @task takes keywords from 6.1 on")


@pytest.fixture
def stored(pg):
    """The options of the newest run."""
    sql = "SELECT max_attempts, backoff_seconds, timeout_seconds FROM task_runs ORDER BY id DESC LIMIT 1"
    return lambda: pg.execute(sql).fetchone()


def same(result):
    """Whether the stored run gives the same result again."""
    return result.task.get_backend().get_result(result.id) == result


def test_a_task_that_says_nothing_gets_the_engines_defaults(db, stored):
    assert same(tasks.add.enqueue(1))
    assert stored() == (3, None, None)


def test_the_decorator_says_it_on_the_function(db, stored):
    result = tasks.patient.enqueue()
    assert stored() == (5, list(exponential(2.0)), 60.0)
    assert result.task == tasks.patient
    assert same(result)


def test_using_goes_over_the_decorator(db, stored):
    result = tasks.patient.using(max_attempts=9, backoff=[1, "2s", timedelta(minutes=1)], priority=4).enqueue()
    assert stored() == (9, [1.0, 2.0, 60.0], 60.0)
    assert (result.task.max_attempts, result.task.timeout, result.task.priority) == (9, None, 4)
    assert same(result)


def test_the_backends_options_apply_to_tasks_that_say_nothing(db, stored):
    own = {"MAX_ATTEMPTS": 7, "timeout": "5m", "Backoff": "10s"}
    with override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": own}}):
        assert same(tasks.add.enqueue(1))
        assert stored() == (7, list(exponential(10.0)), 300.0)
        assert same(tasks.patient.enqueue())
        assert stored() == (5, list(exponential(2.0)), 60.0)


def test_a_field_that_says_what_applies_anyway_is_none_on_both_sides(db):
    result = tasks.patient.using(max_attempts=5, timeout=60).enqueue()
    assert (result.task.max_attempts, result.task.timeout) == (None, None)
    assert same(result)


def on_lost_contact(pg):
    return pg.execute(
        "SELECT coalesce(on_lost_contact, 'continue') FROM task_runs ORDER BY id DESC LIMIT 1"
    ).fetchone()[0]


def test_what_a_run_does_on_lost_contact_is_stored_with_it(db, pg):
    assert same(tasks.add.enqueue(1))
    assert on_lost_contact(pg) == "continue"
    assert same(result := tasks.alone.enqueue())
    assert (on_lost_contact(pg), result.task) == ("stop", tasks.alone)


def test_using_says_it_of_one_call_both_ways(db, pg):
    assert same(result := tasks.add.using(on_lost_contact="stop").enqueue(1))
    assert (on_lost_contact(pg), result.task.on_lost_contact) == ("stop", "stop")
    assert same(result := tasks.alone.using(on_lost_contact="continue").enqueue())
    assert (on_lost_contact(pg), result.task.on_lost_contact) == ("continue", "continue")


def test_it_is_no_part_of_the_spec(db, pg):
    tasks.alone.enqueue()
    tasks.alone.using(on_lost_contact="continue").enqueue()
    assert pg.execute("SELECT count(DISTINCT spec_hash) FROM task_runs").fetchone() == (1,)


def test_using_does_not_change_the_task(django_project):
    tasks.add.using(max_attempts=2)
    assert tasks.add.max_attempts is None
    assert tasks.add.using(max_attempts=2).using(priority=1).max_attempts == 2


@FROM_61
def test_from_django_61_on_they_are_keywords_of_the_decorator(django_project):
    declared = task(max_attempts=2, backoff="1s", timeout=timedelta(minutes=2))(tasks.plain_function)
    assert (declared.max_attempts, declared.backoff, declared.timeout) == (2, exponential(1.0), 120.0)
    with pytest.raises(InvalidTask, match="max_attempts = 0 is outside 1 to 1000"):
        task(max_attempts=0)(tasks.plain_function)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_attempts": 0}, "max_attempts = 0 is outside 1 to 1000"),
        ({"max_attempts": "many"}, "max_attempts = 'many' is not a whole number"),
        ({"max_attempts": True}, "max_attempts = True is not a whole number"),
        ({"timeout": 0}, "timeout = 0 is outside 0.001 to"),
        ({"timeout": -1}, "timeout = -1 is outside 0.001 to"),
        ({"timeout": "-1s"}, "timeout = '-1s' is not a duration"),
        ({"timeout": timedelta(days=31)}, "is outside 0.001 to 2592000 s"),
        ({"timeout": "soon"}, "timeout = 'soon' is not a duration"),
        ({"expires_in": 0}, "expires_in = 0 is outside 0.001 to"),
        ({"expires_in": timedelta(seconds=-1)}, "is outside 0.001 to"),
        ({"expires_in": "4000d"}, "expires_in = '4000d' is outside 0.001 to"),
        ({"expires_in": "tomorrow"}, "expires_in = 'tomorrow' is not a duration"),
        ({"on_lost_contact": "go on"}, "on_lost_contact = 'go on' is neither"),
        ({"on_lost_contact": True}, "on_lost_contact = True is neither"),
        ({"backoff": []}, "backoff has 0 waits"),
        ({"backoff": [1] * 101}, "backoff has 101 waits"),
        ({"backoff": [1, -1]}, "is outside 0 to"),
        ({"backoff": [1, "x"]}, "'x' is not a duration"),
        ({"backoff": float("nan")}, "is outside 0 to"),
        ({"backoff": timedelta(days=31)}, "is outside 0 to"),
    ],
)
def test_a_wrong_option_is_refused_at_decoration_with_its_bound(django_project, given, message):
    with pytest.raises(InvalidTask) as refusal:
        options(**given)
    assert message in str(refusal.value)
    with pytest.raises(InvalidTask):
        tasks.add.using(**given)


def test_an_unknown_option_is_refused(django_project):
    with pytest.raises(TypeError, match="retries"):
        options(retries=3)
    with pytest.raises(TypeError, match="retries"):
        tasks.add.using(retries=3)


def test_above_the_task_decorator_it_says_where_it_belongs(django_project):
    with pytest.raises(InvalidTask, match="write it below"):
        options(max_attempts=2)(tasks.add)


@pytest.mark.lesson("options-stuck-on-frozen-task")
def test_options_are_one_attribute_of_the_function_and_nothing_on_the_task(django_project):
    assert getattr(tasks.patient.func, ATTRIBUTE) == TaskOptions(5, exponential(2.0), 60.0)
    assert not hasattr(tasks.patient, ATTRIBUTE)
    assert tasks.patient.max_attempts is None


BACKENDS = [
    OURS,
    "reproq_django.testing.ImmediateBackend",
    "reproq_django.testing.DummyBackend",
    "django.tasks.backends.immediate.ImmediateBackend",
    "django.tasks.backends.dummy.DummyBackend",
    *(["django_tasks_db.DatabaseBackend"] if importlib.util.find_spec("django_tasks_db") else []),
]


@pytest.mark.lesson("options-stuck-on-frozen-task")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_module_of_tasks_imports_under_every_backend(django_project, backend):
    name = "tests.django.tasks"
    before = sys.modules.pop(name)
    try:
        with override_settings(TASKS={"default": {"BACKEND": backend}}):
            again = importlib.import_module(name)
            assert isinstance(again.patient, Task)
            assert getattr(again.patient.func, ATTRIBUTE).max_attempts == 5
    finally:
        sys.modules[name] = before
        sys.modules["tests.django"].tasks = before


def test_a_task_made_under_another_backend_keeps_its_functions_options(db, stored):
    plain = Task(
        func=tasks.patient.func,
        priority=0,
        backend="default",
        queue_name="default",
        run_after=None,
        takes_context=False,
    )
    plain.enqueue()
    assert stored() == (5, list(exponential(2.0)), 60.0)


def twin_of(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own


def test_tasks_can_be_pickled_copied_and_compared(django_project):
    for one in (tasks.add, tasks.patient.using(max_attempts=8, backoff=[1, 2], priority=3)):
        assert type(one) is ReproqTask
        for twin in (twin_of(one), copy.deepcopy(one), copy.copy(one)):
            assert twin == one
            assert hash(twin) == hash(one)
    with pytest.raises(ValueError, match=r"Expected 'builtins\.any' to point to a Task instance"):
        ReproqTask._reconstruct({"func": "builtins.any"})
    with pytest.raises(ValueError, match=r"Expected 'does\.not\.exist' to point to a Task instance"):
        ReproqTask._reconstruct({"func": "does.not.exist"})


def test_results_can_be_pickled(db):
    result = tasks.patient.using(timeout=3).enqueue()
    assert twin_of(result) == result
    assert copy.deepcopy(result) == result
