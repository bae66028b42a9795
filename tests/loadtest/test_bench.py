"""`reproq bench`: a small one of everything, and what is left of it; what it measures is really there."""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from reproq.config import Config
from reproq.loadtest.bench import drain
from reproq.loadtest.bench.drain import Case
from reproq.loadtest.bench.figures import Figure
from reproq.loadtest.bench.measures import Measure
from reproq.loadtest.bench.place import BenchFailed, NotClean, Place, ask
from reproq.store.db import Database
from tests.acceptance.workers import ROOT, environment
from tests.loadtest.conftest import NOT_FOR_TESTS
from tests.plugins.databases import FOLDER_VARIABLE, TestServer

SMALL = (
    "--times",
    "1",
    "--runs",
    "200",
    "--samples",
    "10",
    "--rows",
    "10000",
    "--executor",
    "mock",
    "--executor",
    "pool",
)
LEFT = """
    SELECT (SELECT count(*) FROM task_runs), (SELECT count(*) FROM reproq_workers),
        (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'reproq%')
"""
NOTHING = [[0, 0, 0]]
FROZEN = "f0d7359bc663d2abf71ee8f181ece93901e3374e139a93c796ab03ebf8106f9e"
"""Of ceiling.py behind its docstring."""


def small_bench(server: TestServer, file: Path) -> dict[str, Any]:
    """Everything once, small; what it printed, its JSON, and what is left in the database."""
    dsn = server.create(server.template)
    made = file.with_suffix(".made")
    command = [
        sys.executable,
        "-m",
        "reproq",
        "bench",
        "all",
        *SMALL,
        "--skip",
        "crash_safe_settings",
        "--json",
        str(made),
    ]
    said = subprocess.run(
        command, env=environment(dsn, COLUMNS="200"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    with psycopg.connect(dsn) as connection:
        left = connection.execute(LEFT).fetchall()
    server.drop(dsn)
    assert said.returncode == 0, said.stdout + said.stderr
    return {"facts": json.loads(made.read_text("utf-8")), "out": said.stdout, "left": left}


@pytest.fixture(scope="module")
def taken(server: TestServer) -> dict[str, Any]:
    """The small bench, made by whichever process of the tests asks first."""
    file = Path(os.environ[FOLDER_VARIABLE]) / "bench.json"
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            file.write_text(json.dumps(small_bench(server, file)), "utf-8")
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def of(taken: dict[str, Any], measure: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in taken["facts"]["figures"] if one["measure"] == measure}


def test_every_measure_has_figures(taken: dict[str, Any]) -> None:
    assert {one["measure"] for one in taken["facts"]["figures"]} == {one.value for one in Measure}


def test_nothing_of_a_bench_is_left(taken: dict[str, Any]) -> None:
    assert taken["left"] == NOTHING


def test_every_ratio_is_the_quotient_of_what_stands_beside_it(taken: dict[str, Any]) -> None:
    for one in taken["facts"]["figures"]:
        assert one["ratio"] == one["value"] / one["reference"], one["name"]


def test_the_json_says_on_what_it_was_measured(taken: dict[str, Any]) -> None:
    machine = taken["facts"]["machine"]
    assert machine["cpus"] >= 1
    assert all(machine[name] for name in ("python", "django", "psycopg", "postgresql", "reproq", "kernel", "taken_at"))


def test_commits_of_pgbench_stand_beside_or_it_is_said_why_not(taken: dict[str, Any]) -> None:
    facts = taken["facts"]
    assert (facts["pgbench_commits_per_second"] or 0) > 1 or facts["no_pgbench"]


def test_a_drain_has_rate_ceiling_goals_and_costs(taken: dict[str, Any]) -> None:
    one = of(taken, "drain")["pool, 1 worker, 200 runs of 100 B"]
    assert one["beside"] == "ceiling"
    assert one["value"] > 10
    assert one["reference"] > 100
    assert [goal["words"] for goal in one["goals"]] == ["ratio ≥ 0.55", "≥ 20,000 runs/s"]


def test_costs_are_those_of_claims_and_ends(taken: dict[str, Any]) -> None:
    """Five index entries a run, a few commits a thousand, and CPU where it was used."""
    mock, pool = (of(taken, "drain")[f"{name}, 1 worker, 200 runs of 100 B"]["costs"] for name in ("mock", "pool"))
    assert 4_900 <= mock["index_entries"] <= 6_000
    assert 500_000 < mock["wal_bytes"] < 5_000_000
    assert 0 < mock["commits"] < 1_000
    assert mock["children_cpu_seconds"] == 0
    assert mock["worker_cpu_seconds"] > 0
    assert pool["children_cpu_seconds"] > 0
    assert pool["server_cpu_seconds"] > 0


def test_latencies_are_milliseconds_beside_a_bare_commit(taken: dict[str, Any]) -> None:
    latencies = of(taken, "latency")
    assert len(latencies) == 6
    for way in ("enqueue", "COMMIT after 200 ms", "due time"):
        p50, p99 = (latencies[f"pool, {way}, {label}"] for label in ("p50", "p99"))
        assert 0 < p50["value"] <= p99["value"] < 10_000
        assert p50["reference"] > 0


def test_enqueues_stand_beside_insert_and_copy(taken: dict[str, Any]) -> None:
    enqueues = of(taken, "enqueue")
    assert [one["beside"] for one in enqueues.values()] == [*["INSERT by psycopg"] * 2, "COPY", "nobody waits"]
    assert enqueues["enqueue_many of 200"]["value"] > 100


def test_claims_in_large_tables_stand_beside_those_in_small_ones(taken: dict[str, Any]) -> None:
    backlog, history = of(taken, "backlog"), of(taken, "history")
    assert [name for name in backlog if "ms" not in name] == [
        "10,000 READY",
        "1,000 future runs of top priority ahead",
        "10,000 READY in queues of others",
        "three queues, 10,000 READY",
        "* with 200 queues, 10,000 READY",
    ]
    assert list(history) == ["10,000 finished", "10,000 finished: ms"]
    assert all(100 < one["value"] < 20_000 for name, one in (backlog | history).items() if "ms" not in name)


def test_the_table_shows_ratios_and_goals(taken: dict[str, Any]) -> None:
    assert "ratio ≥ 0.75" in taken["out"]
    assert "per 1,000 runs of" in taken["out"]


# -- drains, one by one -----------------------------------------------------------------------------------------------


@pytest.fixture
def place(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A database for a bench, and an environment in which workers find the tests' project."""
    for name, value in environment(dsn).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(drain, "FEWEST_OF_A_CEILING", 500)
    database = Database(dsn, "bench")
    yield Place(database=database, config=Config(dsn=dsn), times=1, skipped=NOT_FOR_TESTS)
    database.close()


def rates(figures: list[Figure]) -> dict[str, float]:
    return {figure.name: figure.middle.value for figure in figures}


def test_runs_in_fresh_children_and_cold_interpreters_are_drained(place: Place) -> None:
    found = rates(drain.measure(place, [Case("fork", 1, 100, 10), Case("spawn", 1, 1000, 3)]))
    assert found["fork, 1 worker, 10 runs of 100 B"] > 1
    assert found["spawn, 1 worker, 3 runs of 1 kB"] > 0.1


def test_several_workers_stand_beside_one_and_each_has_its_share(place: Place) -> None:
    figures = {one.name: one for one in drain.measure(place, [Case("mock", 1, 0, 300), Case("mock", 2, 0, 300)])}
    alone, together = (figures[f"mock, {count}, 300 runs of 0 B"] for count in ("1 worker", "2 workers"))
    compared = figures[f"{together.name}: all together"].middle
    assert compared.ratio == together.middle.rank / alone.middle.rank
    assert figures[f"{together.name}: deadlocks"].middle.value == 0
    assert 0 <= figures[f"{together.name}: least share of a worker"].middle.value <= 50


def test_a_drain_whose_runs_do_not_succeed_has_no_figure(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "NO_OP", "builtins.len")
    monkeypatch.setattr(drain, "LONGEST_SECONDS", 1.0)
    with pytest.raises(BenchFailed, match=r"have not ended after 1 s: \d+ (SCHEDULED|READY) by nobody"):
        drain.drain(place, Case("pool", 1, 0, 10))
    assert ask(place.database, "found", {"now": None}) == [(0, 0)]


def test_a_drain_that_breaks_an_invariant_has_no_figure(place: Place) -> None:
    place.skipped = frozenset()  # the tests' server is fast rather than safe
    with pytest.raises(NotClean, match="crash_safe_settings"):
        drain.drain(place, Case("mock", 1, 0, 10))
    assert ask(place.database, "found", {"now": None}) == [(0, 0)]


def test_a_ceiling_in_the_way_is_named(place: Place, pg: psycopg.Connection) -> None:
    pg.execute("CREATE SCHEMA reproq_ceiling")
    with pytest.raises(BenchFailed, match="DROP SCHEMA reproq_ceiling CASCADE"):
        drain.ceiling(place, 10)


def test_a_ceiling_counts_runs_that_it_has_claimed_and_ended(place: Place) -> None:
    assert drain.ceiling(place, 700) > 100


def test_the_ceiling_is_frozen() -> None:
    """Whoever changes what it measures moves every ratio that was ever published; its docstring may change."""
    _, _, code = (ROOT / "src/reproq/loadtest/bench/ceiling.py").read_text("utf-8").partition('"""\n\n')
    assert hashlib.sha256(code.encode()).hexdigest() == FROZEN


def test_a_worker_that_cannot_start_is_told_with_its_own_words(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "no.such.settings")
    with pytest.raises(BenchFailed, match=r"exit code 2; .*\n.*no\.such\.settings"):
        drain.drain(place, Case("pool", 1, 0, 10))


def test_the_address_of_a_worker_is_on_no_command_line(place: Place) -> None:
    from reproq.loadtest.bench.processes import workers

    place.config = Config(dsn=conninfo.make_conninfo(place.config.dsn, password="s3cret"))
    with workers(place, 1, "mock", 10, place.queue) as (worker,):
        assert b"s3cret" not in Path(f"/proc/{worker.pid}/cmdline").read_bytes()
    assert not Path(f"/proc/{worker.pid}").exists()
