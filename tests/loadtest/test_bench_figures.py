"""What figures say of themselves: medians, ratios, goals, percentiles."""

import json
from io import StringIO

import pytest
from rich.console import Console

from reproq.loadtest.bench.drain import Case
from reproq.loadtest.bench.figures import Costs, Figure, Of, Taking, at_least, at_most, percentile
from reproq.loadtest.bench.machine import machine
from reproq.loadtest.bench.measures import Bench, Sizes
from reproq.loadtest.bench.show import number, tables

COSTS = Costs(
    commits=4.2, wal_bytes=1_900_000.0, index_entries=None, worker_cpu_seconds=0.05, children_cpu_seconds=0.0,
    server_cpu_seconds=0.06,
)  # fmt: skip


def figure(*takings: Taking, **more: object) -> Figure:
    return Figure(**({"measure": "drain", "name": "mock", "unit": "runs/s", "takings": takings} | more))  # type: ignore[arg-type]


def test_the_median_is_the_taking_in_the_middle_of_the_ratios_with_its_own_reference() -> None:
    one = figure(Taking(100.0, 1000.0), Taking(900.0, 1000.0), Taking(400.0, 500.0))
    assert one.middle == Taking(400.0, 500.0)
    assert one.middle.ratio == 0.8


def test_takings_without_a_reference_are_ordered_by_value() -> None:
    one = figure(Taking(3.0), Taking(1.0), Taking(2.0))
    assert (one.middle.value, one.middle.ratio) == (2.0, None)


@pytest.mark.parametrize(
    ("goal", "kept"),
    [
        (at_least(0.5, Of.RATIO), True),
        (at_least(0.51, Of.RATIO), False),
        (at_most(0.5, Of.RATIO), True),
        (at_least(101), False),
        (at_most(100), True),
        (at_most(99.9), False),
    ],
)
def test_a_goal_is_kept_up_to_its_bound(goal: object, kept: bool) -> None:
    assert figure(Taking(100.0, 200.0)).is_kept(goal) is kept  # type: ignore[arg-type]


def test_a_goal_of_a_ratio_is_neither_kept_nor_broken_without_a_reference() -> None:
    assert figure(Taking(100.0)).is_kept(at_least(0.5, Of.RATIO)) is None


def test_goals_say_what_they_are_about() -> None:
    assert at_least(0.75, Of.RATIO).words("runs/s") == "ratio ≥ 0.75"
    assert at_least(30_000).words("runs/s") == "≥ 30,000 runs/s"
    assert at_most(3).words("ms") == "≤ 3 ms"


def test_the_facts_of_a_figure_are_json_with_every_taking() -> None:
    one = figure(Taking(1.0, 2.0, COSTS), Taking(3.0, 4.0), beside="ceiling", goals=(at_least(0.5, Of.RATIO),))
    facts = json.loads(json.dumps(one.facts()))
    assert facts["ratio"] == facts["value"] / facts["reference"]
    assert facts["takings"] == [
        {"value": 1.0, "reference": 2.0, "ratio": 0.5},
        {"value": 3.0, "reference": 4.0, "ratio": 0.75},
    ]
    assert facts["goals"] == [{"of": "ratio", "bound": 0.5, "at_least": True, "words": "ratio ≥ 0.5", "kept": True}]


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 3), (0.99, 4), (1.0, 4)])
def test_a_percentile_is_one_of_the_values(share: float, value: int) -> None:
    assert percentile([1, 2, 3, 4], share) == value


def test_the_usual_drains_are_those_that_have_goals_and_larger_arguments() -> None:
    names = [case.name for case in Sizes().cases()]
    assert names[:2] == ["mock, 1 worker, 50,000 runs of 100 B", "mock, 4 workers, 50,000 runs of 100 B"]
    assert {"pool, 1 worker, 50,000 runs of 8 kB", "fork, 1 worker, 3,000 runs of 100 B"} < set(names)


def test_what_is_asked_for_is_combined() -> None:
    sizes = Sizes(executors=("pool",), workers=(1, 2), payloads=(0, 1000), runs=50)
    assert sizes.cases() == [Case("pool", count, payload, 50) for count in (1, 2) for payload in (0, 1000)]


def test_the_latency_is_that_of_executors_that_stay_warm() -> None:
    assert Sizes().awaited == ["pool", "fork"]
    assert Sizes(executors=("mock", "fork")).awaited == ["fork"]


def test_the_tables_show_ratio_goal_and_costs_or_why_there_is_none() -> None:
    one = figure(Taking(300.0, 400.0, COSTS), beside="ceiling", goals=(at_least(0.7, Of.RATIO), at_least(9000)))
    out = Console(width=200, file=StringIO())
    for table in tables(Bench(machine("18.4"), [one], None, "no pgbench here")):
        out.print(table)
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert "pgbench -N: not measured: no pgbench here" in text
    assert "ratio ≥ 0.7 ✓; ≥ 9,000 runs/s ✗" in text
    assert "ceiling 400" in text
    assert "1,900" in text


@pytest.mark.parametrize(("value", "text"), [(0.1234, "0.12"), (12.34, "12.3"), (123.4, "123"), (12_345.0, "12,345")])
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text
