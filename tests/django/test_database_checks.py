"""System checks between several databases: what does not fit together is named, with its remedy."""

import pytest
from django.core import checks
from django.test import override_settings

from tests.django.conftest import OURS, ROUTERS, backend_on


class KeepsAway:
    """A project's router that lets nothing of other apps into its second database."""

    def allow_migrate(self, db, app_label, **hints):
        return False if db == "second" else None


def found(routers=(), **backends):
    """The codes of our findings, and their texts; without what a project is merely asked."""
    with override_settings(TASKS=backends, DATABASE_ROUTERS=list(routers)):
        ours = [problem for problem in checks.run_checks() if (problem.id or "").startswith("reproq.")]
    return {problem.id: problem for problem in ours if problem.level > checks.INFO}


def test_a_database_of_its_own_wants_a_router(second):
    problem = found(default=backend_on(second))["reproq.W009"]
    assert problem.level == checks.WARNING
    assert "'second'" in problem.msg
    assert "'default'" in problem.msg
    assert ROUTERS[0] in problem.hint


def test_with_the_router_there_is_no_finding(second):
    assert found(ROUTERS, default=backend_on(second)) == {}
    assert found(ROUTERS, default=backend_on("default"), reports=backend_on(second)) == {}


def test_a_further_database_beside_default_needs_no_router(second):
    assert found(default=backend_on("default"), reports=backend_on(second)) == {}


def test_a_router_that_keeps_our_tables_away_is_an_error(second):
    problem = found([*ROUTERS[1:], f"{__name__}.KeepsAway"], default=backend_on("default"), far=backend_on(second))
    assert set(problem) == {"reproq.E010"}
    assert "migrate reproq_django --database second" in problem["reproq.E010"].hint
    assert found([*ROUTERS, f"{__name__}.KeepsAway"], default=backend_on(second)) == {}


def sharing(one, other):
    """What is found for two backends of one database with these options."""
    return set(found(default={"BACKEND": OURS, "OPTIONS": one}, media={"BACKEND": OURS, "OPTIONS": other}))


COMMAND = {"EXECUTOR": "command", "COMMANDS": {"shop.media.*": ["/bin/true"]}}


@pytest.mark.parametrize(
    ("one", "other", "codes"),
    [
        ({}, {"MAX_ATTEMPTS": 9, "CONCURRENCY": 7}, set()),
        ({}, COMMAND, {"reproq.W011"}),
        ({}, {**COMMAND, "QUEUES": ["media"]}, set()),
        ({"QUEUES": "*"}, {**COMMAND, "QUEUES": ["media"]}, {"reproq.W011"}),
        ({"QUEUES": "*", "EXCLUDE_QUEUES": ["media"]}, {**COMMAND, "QUEUES": ["media"]}, set()),
        ({"QUEUES": "*"}, {**COMMAND, "QUEUES": "*"}, {"reproq.W011"}),
        ({"EXECUTOR": "nonsense"}, {}, {"reproq.E002"}),
    ],
)
def test_workers_that_take_each_others_runs_must_execute_alike(django_project, one, other, codes):
    assert sharing(one, other) == codes


def test_backends_of_different_databases_may_execute_differently(second):
    apart = {"BACKEND": OURS, "OPTIONS": {**COMMAND, "DATABASE": second}}
    assert found(ROUTERS, default=backend_on("default"), media=apart) == {}
