"""How long runs are kept: every way to write it, what follows for each status and queue, and what is refused."""

from datetime import timedelta

import pytest

from reproq.config import Config, Source, load
from reproq.errors import ConfigurationError
from reproq.lifecycle import Status
from reproq.retention import DEFAULT, KEEP_ALL, Rule, narrowed, retention, rules

DAY = 86_400.0
ENDS = (Status.SUCCESSFUL, Status.FAILED, Status.CANCELLED)


def ages(value: object, queue: str = "any") -> list[float | None]:
    """Days by status."""
    policy = retention(value)
    return [None if (age := policy.age(status, queue)) is None else age / DAY for status in ENDS]


def test_by_default_successful_runs_are_kept_for_30_days_and_all_others_for_90() -> None:
    assert Config().retention == DEFAULT
    assert ages(DEFAULT) == [30, 90, 90]


@pytest.mark.parametrize(
    ("value", "days"),
    [
        ("off", [None, None, None]),
        (False, [None, None, None]),
        ("14d", [14, 14, 14]),
        (timedelta(days=2), [2, 2, 2]),
        ("successful=12h", [0.5, 90, 90]),
        ("successful = 1d, failed = off", [1, None, None]),
        ("failed=7d,cancelled=1d", [30, 7, 1]),
        ({"SUCCESSFUL": "1d"}, [1, 90, 90]),
        ({"failed": timedelta(days=3)}, [30, 3, 3]),
        ('{"successful": "1d", "failed": "off"}', [1, None, None]),
    ],
)
def test_a_policy_is_written_in_any_of_these_ways(value: object, days: list[float | None]) -> None:
    assert ages(value) == days


def test_a_queue_says_what_differs_from_the_others() -> None:
    policy = {"failed": "60d", "queues": {"mail": "7d", "audit": "off", "video": {"successful": "1d"}}}
    assert ages(policy) == [30, 60, 60]
    assert ages(policy, "mail") == [7, 7, 7]
    assert ages(policy, "audit") == [None, None, None]
    assert ages(policy, "video") == [1, 60, 60]


@pytest.mark.parametrize("value", ["off", "14d", "failed=36h", {"queues": {"mail": "90s", "audit": "off"}}, DEFAULT])
def test_a_policy_as_it_is_shown_is_the_same_policy(value: object) -> None:
    policy = retention(value)
    assert retention(str(policy)) == policy


def test_there_is_one_rule_for_each_age_and_none_where_everything_is_kept() -> None:
    assert rules(KEEP_ALL) == ()
    assert KEEP_ALL.is_off
    assert rules(DEFAULT) == (
        Rule(30 * DAY, (Status.SUCCESSFUL,)),
        Rule(90 * DAY, (Status.FAILED, Status.CANCELLED)),
    )
    by_queue = rules(retention({"queues": {"mail": {"successful": "90d"}, "audit": "off"}}))
    assert by_queue == (
        Rule(30 * DAY, (Status.SUCCESSFUL,), ("mail", "audit"), ()),
        Rule(
            90 * DAY,
            (Status.FAILED, Status.CANCELLED),
            ("mail", "audit"),
            ("SUCCESSFUL mail", "FAILED mail", "CANCELLED mail"),
        ),
    )


def test_a_narrowed_policy_keeps_all_that_was_not_named() -> None:
    policy = retention({"queues": {"mail": "7d"}})
    failed = narrowed(policy, (Status.FAILED,), ())
    assert [failed.age(status, "any") for status in ENDS] == [None, 90 * DAY, None]
    assert [failed.age(status, "mail") for status in ENDS] == [None, 7 * DAY, None]
    one_queue = narrowed(policy, (), ("other",))
    assert [one_queue.age(status, "other") for status in ENDS] == [30 * DAY, 90 * DAY, 90 * DAY]
    assert [one_queue.age(status, "mail") for status in ENDS] == [None, None, None]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("0", "has '0', which is outside 1s to 36500d; give 1s to 36500d, or off to keep them for ever"),
        ("-1d", "has '-1d', which is outside 1s to 36500d"),
        (-5, "has -5, which is outside 1s to 36500d"),
        ("36501d", "has '36501d', which is outside 1s to 36500d"),
        ("soon", "has 'soon', which is no duration such as 12h or 30d"),
        ("", "has '', which is no duration"),
        ("30", "has '30', which has no unit; write 30d"),
        (30, "has 30, which has no unit; write 30d"),
        (1.5, "has 1.5, which has no unit; write 1.5d"),
        ("86400", "has '86400', which has no unit; write 86400s"),
        ("successful=30", "has '30' for successful, which has no unit; write 30d"),
        ({"failed": 90}, "has 90 for failed, which has no unit; write 90d"),
        ('{"queues": {"mail": 7}}', "has 7 for the queue mail, which has no unit; write 7d"),
        (True, "has True, which is no duration"),
        ("failed=0s", "has '0s' for failed, which is outside 1s to 36500d"),
        ("faild=1d", "has the status 'faild', which is none of successful, failed, cancelled"),
        ({"running": "1d"}, "has the status 'running', which is none of"),
        ({"queues": {"mail": {"done": "1d"}}}, "has the status 'done' for the queue mail, which is none of"),
        ({"queues": {"mail": "200y"}}, "has '200y' for the queue mail, which is no duration"),
        ({"queues": {"a,b": "1d"}}, "has the queue 'a,b', which must be printable, without commas"),
        ({"queues": ["mail"]}, "has queues = ['mail'], no table of queues"),
        ("{", "is no JSON; write off, 30d"),
    ],
)
def test_what_cannot_be_is_refused_with_value_bound_and_remedy(value: object, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(Source("reproq.toml", {"retention": value}))
    assert says in str(caught.value)
    assert str(caught.value).startswith("reproq.toml: retention = ")
