"""`reproq bench`: a small one of every measure; that it measures what is really there, and leaves nothing."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from reproq.config import Config
from reproq.loadtest.bench import claims, drain, enqueue, latency
from reproq.loadtest.bench.drain import Case
from reproq.loadtest.bench.figures import Figure, at_most
from reproq.loadtest.bench.place import BenchFailed, NotClean, Place, ask, sql
from reproq.loadtest.bench.processes import workers
from reproq.store.arrays import numbers
from reproq.store.claims import claim
from reproq.store.db import Database
from reproq_django.cli.bench import DjangoProducer, project_producer
from tests.acceptance.workers import ROOT, environment, reproq
from tests.loadtest.conftest import NOT_FOR_TESTS

LEFT = """
    SELECT (SELECT count(*) FROM task_runs), (SELECT count(*) FROM reproq_workers),
        (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'reproq%')
"""
FROZEN = "f0d7359bc663d2abf71ee8f181ece93901e3374e139a93c796ab03ebf8106f9e"
"""Of ceiling.py behind its docstring."""


def test_a_bench_prints_a_table_keeps_everything_as_json_and_leaves_nothing(dsn: str, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    asked = ("history", "ceiling", "--times", "1", "--runs", "200", "--rows", "10000", "--json", str(file))
    said = reproq(dsn, "bench", *asked, COLUMNS="200")
    facts = json.loads(file.read_text("utf-8"))
    assert [(one["measure"], one["name"]) for one in facts["figures"]] == [
        ("ceiling", "200 runs"),
        ("history", "10,000 finished"),
        ("history", "10,000 finished: ms"),
    ]
    assert all(one["ratio"] == one["value"] / one["reference"] for one in facts["figures"] if one["reference"])
    names = ("python", "django", "psycopg", "postgresql", "reproq", "kernel", "taken_at", "cpus", "cpu_model")
    assert all(facts["machine"][name] for name in names)
    assert (facts["pgbench_commits_per_second"] or 0) > 1 or facts["no_pgbench"]
    assert "ratio ≤ 1.5 ✓" in said.stdout
    assert list(tmp_path.iterdir()) == [file]
    with psycopg.connect(dsn) as connection:
        assert connection.execute(LEFT).fetchone() == (0, 0, 0)


@pytest.fixture
def place(db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A database for a bench, and an environment in which workers find the tests' project."""
    for name, value in environment(db).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(drain, "FEWEST_OF_A_CEILING", 500)
    database = Database(db, "bench")
    yield Place(database=database, config=Config(dsn=db), times=1, skipped=NOT_FOR_TESTS)
    with database.transaction() as cursor:
        assert cursor.execute(LEFT.replace("'reproq%'", "'reproq-%'")).fetchone() == (0, 0, 0)
    database.close()


@pytest.fixture
def producer(place: Place) -> DjangoProducer:
    return project_producer(place.config)


def named(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


# -- enqueues, latencies, claims --------------------------------------------------------------------------------------


def test_enqueues_stand_beside_insert_and_copy(place: Place, producer: DjangoProducer) -> None:
    figures = named(enqueue.measure(place, producer, 20, 100))
    assert enqueue._goals(500, enqueue.SINGLES, at_most(1)) == (at_most(1),)
    assert {name: one.beside for name, one in figures.items()} == {
        "one by one, autocommit": "INSERT by psycopg",
        "one by one: CPU above a bare INSERT": "INSERT by psycopg",
        "enqueue_many of 100": "COPY",
        "enqueue_many of 100, a worker waits": "nobody waits",
    }
    assert [one.name for one in figures.values() if one.goals] == [], "so few are not judged by their rate"
    assert all(figures[name].middle.value > 1 for name in ("one by one, autocommit", "enqueue_many of 100"))


def test_latencies_are_milliseconds_beside_a_bare_commit(place: Place, producer: DjangoProducer) -> None:
    figures = named(latency.measure(place, producer, ["pool"], 8))
    assert len(figures) == 6
    for way in ("enqueue", "COMMIT after 200 ms", "due time"):
        p50, p99 = (figures[f"pool, {way}, {label}"].middle for label in ("p50", "p99"))
        assert 0 < p50.value <= p99.value < 20_000
        assert p50.reference == p99.reference
        assert p50.reference
    assert [one.name for one in figures.values() if one.goals] == [], "eight samples are too few for a goal"


def test_latencies_of_few_runs_are_not_judged() -> None:
    keys = [("pool", "enqueue", label) for label in ("p50", "p99")]
    judged, short = ([latency.goals_of(key, samples) for key in keys] for samples in (200, 199))
    assert [goal.words("ms") for (goal,) in judged] == ["≤ 3 ms", "≤ 6 ms"]
    assert short == [(), ()]


def test_a_bare_insert_is_ready_whatever_a_worker_has_made_of_its_model(place: Place, producer: DjangoProducer) -> None:
    """A worker of the bench serves the queue of the model, and may be quicker than the look at it."""
    model = place.note(producer.ids(producer.no_ops(1)))
    connection = place.database.connected()
    with connection.transaction(), connection.cursor() as cursor:
        claim(cursor, queues=[producer.queue], limit=1, token=1, worker_id="w-1", lease_seconds=30.0)
    (row,) = ask(place.database, "written", {"queue": place.queue, "ids": numbers(model)})
    connection.execute(sql("insert"), row)
    statuses = connection.execute("SELECT status FROM task_runs ORDER BY id").fetchall()
    assert statuses == [("RUNNING",), ("READY",)]
    place.clear()


def test_a_latency_that_cannot_be_taken_leaves_no_run(place: Place, producer: DjangoProducer) -> None:
    pauses = iter([1.0])
    with pytest.raises(StopIteration):
        latency._latencies(place, producer, latency.WAYS[0], 3, lambda: next(pauses))
    assert place.database.connected().execute("SELECT count(*) FROM task_runs").fetchone() == (2,)
    place.clear()  # the place itself looks whether all is gone


def test_claims_in_large_tables_stand_beside_those_in_small_ones(place: Place) -> None:
    figures = named(claims.measure(place, "backlog", claims.backlog(10_000)))
    assert [name for name, one in figures.items() if one.unit == "pages"] == [
        "10,000 READY",
        "1,000 future runs of top priority ahead",
        "10,000 READY in queues of others",
        "three queues, 10,000 READY",
        "* with 200 queues, 10,000 READY",
    ]
    assert "* with 200 queues, 10,000 READY: ms to find the names" in figures
    for one in figures.values():
        assert one.middle.value > 0
        assert one.middle.reference
    assert all(one.middle.value > 100 for one in figures.values() if one.unit == "pages")


# -- drains -----------------------------------------------------------------------------------------------------------


def test_a_drain_has_rate_ceiling_goals_and_costs(place: Place) -> None:
    rate, memory = drain.measure(place, [Case("pool", 1, 100, 3_000)])  # some ticks of the CPU clock
    assert rate.name == "pool, 1 worker, 3,000 runs of 100 B"
    assert rate.middle.value > 5
    assert rate.middle.reference
    assert rate.middle.reference > 50
    costs = rate.middle.costs
    assert costs is not None
    assert costs.children_cpu_seconds > 0
    assert 0 < costs.commits < 2_000
    assert memory.middle.value > 10


def test_a_drain_of_few_runs_is_not_judged_by_its_rate() -> None:
    judged, short = (drain.goals_of(Case("pool", 1, 100, runs)) for runs in (50_000, 49_999))
    assert [goal.words("runs/s") for goal in judged] == ["ratio ≥ 0.55", "≥ 20,000 runs/s"]
    assert short == ()


def test_costs_are_those_of_claims_and_ends(place: Place) -> None:
    """Five index entries a run. What the server wrote for other tests meanwhile is counted too."""
    costs = drain.drain(place, Case("mock", 1, 100, 1000)).taking.costs
    assert costs is not None
    assert 0 < costs.commits < 500
    assert costs.wal_bytes > 500_000
    assert costs.children_cpu_seconds == 0
    assert costs.worker_cpu_seconds > 0
    assert costs.server_cpu_seconds is None or costs.server_cpu_seconds > 0
    assert costs.index_entries is None or costs.index_entries >= 4_900


@pytest.mark.slow
def test_runs_in_fresh_children_and_cold_interpreters_are_drained(place: Place) -> None:
    found = named(drain.measure(place, [Case("fork", 1, 100, 10), Case("spawn", 1, 1000, 3)]))
    assert found["fork, 1 worker, 10 runs of 100 B"].middle.value > 0.5
    assert found["spawn, 1 worker, 3 runs of 1 kB"].middle.value > 0.05


def test_several_workers_stand_beside_one_and_each_has_its_share(place: Place) -> None:
    figures = named(drain.measure(place, [Case("mock", 1, 0, 300), Case("mock", 2, 0, 300)]))
    alone, together = (figures[f"mock, {count}, 300 runs of 0 B"] for count in ("1 worker", "2 workers"))
    compared = figures[f"{together.name}: all together"].middle
    assert compared.ratio == together.middle.rank / alone.middle.rank
    assert figures[f"{together.name}: deadlocks"].middle.value == 0
    assert 0 <= figures[f"{together.name}: least share of a worker"].middle.value <= 50


def test_a_drain_whose_runs_do_not_succeed_has_no_figure(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "NO_OP", "builtins.len")
    monkeypatch.setattr(drain, "LONGEST_SECONDS", 1.0)
    with pytest.raises(BenchFailed, match=r"have not ended after 1 s: \d+ (SCHEDULED|READY|RUNNING) by "):
        drain.drain(place, Case("pool", 1, 0, 10))


def test_a_drain_that_breaks_an_invariant_has_no_figure(place: Place) -> None:
    place.skipped = frozenset()  # the tests' server is fast rather than safe
    with pytest.raises(NotClean, match="crash_safe_settings"):
        drain.drain(place, Case("mock", 1, 0, 10))


def test_a_ceiling_in_the_way_is_named(place: Place) -> None:
    place.database.connected().execute("CREATE SCHEMA reproq_ceiling")
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
    place.config = Config(dsn=conninfo.make_conninfo(place.config.dsn, password="s3cret"))
    with workers(place, 1, "mock", 10, place.queue) as (worker,):
        assert b"s3cret" not in Path(f"/proc/{worker.pid}/cmdline").read_bytes()
    assert not Path(f"/proc/{worker.pid}").exists()
