"""What `reproq bench` refuses, each with one line that names the remedy, and that it touches no run but its own."""

import psycopg
import pytest

from reproq.config import Config
from reproq.errors import ConfigurationError
from reproq.loadtest.bench import processes
from reproq.loadtest.bench.place import PREFIX, Place
from reproq.retention import retention, rules
from reproq.store.db import Database
from tests.acceptance.workers import reproq

QUICK = ("bench", "enqueue", "--times", "1", "--runs", "10")
FOREIGN = "INSERT INTO task_runs (task_path) VALUES ('shop.tasks.greet')"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Missing argument"),
        (("speed",), "'speed' is not one of 'ceiling', 'drain', 'enqueue', 'latency', 'backlog', 'history', 'all'"),
        (("drain", "--executor", "thread"), "'thread' is not one of 'mock', 'pool', 'fork', 'spawn'"),
        (("drain", "--times", "0"), "0 is not in the range 1<=x<=100"),
        (("drain", "--runs", "-5"), "-5 is not in the range 10<=x<=10000000"),
        (("drain", "--workers", "0"), "0 is not in the range 1<=x<=64"),
        (("drain", "--payload", "-1"), "-1 is not in the range 0<=x<=1000000"),
        (("latency", "--samples", "1"), "1 is not in the range 10<=x<=100000"),
        (("history", "--rows", "5"), "5 is not in the range 10000<=x<=100000000"),
        (("enqueue", "--executor", "pool"), "--executor is for drain and latency, and has no meaning for enqueue"),
        (("ceiling", "drain", "--samples", "20"), "--samples is for latency, and has no meaning for ceiling and drain"),
        (("latency", "--payload", "5"), "--payload is for drain, and has no meaning for latency; leave it out"),
        (("latency", "--executor", "mock"), "latency is measured of pool and fork, not of --executor mock"),
        (("drain", "--skip", "honesty"), "--skip = 'honesty' is no invariant"),
        (("drain", "--json", "/no/such/folder/x"), "--json = '/no/such/folder/x' cannot be written"),
    ],
)
def test_wrong_usage_names_value_and_bound(arguments: tuple[str, ...], says: str) -> None:
    import click

    from reproq_django.cli.bench import bench

    with pytest.raises(click.UsageError) as caught:
        bench.main(list(arguments), standalone_mode=False)
    assert says in caught.value.format_message()
    assert caught.value.exit_code == 2


def test_a_database_that_is_not_migrated_names_the_command(empty_dsn: str) -> None:
    result = reproq(empty_dsn, *QUICK, check=False)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "python manage.py migrate" in result.stderr


def test_another_kind_of_database_is_refused(dsn: str) -> None:
    result = reproq(dsn, *QUICK, "--dsn", "mysql://user@host/name", check=False)
    assert result.returncode == 2
    assert "write it as postgresql://" in result.stderr


def test_a_database_with_runs_is_not_touched_unless_somebody_says_so(dsn: str, pg: psycopg.Connection) -> None:
    pg.execute(FOREIGN)
    result = reproq(dsn, *QUICK, check=False)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "holds 1 runs" in result.stderr
    assert "say --yes" in result.stderr


def test_the_runs_of_others_are_as_they_were(dsn: str, pg: psycopg.Connection) -> None:
    pg.execute(FOREIGN)
    before = pg.execute("SELECT run::text FROM task_runs AS run").fetchall()
    reproq(dsn, *QUICK, "--yes")
    assert pg.execute("SELECT run::text FROM task_runs AS run").fetchall() == before


def test_a_worker_of_a_bench_takes_no_run_of_others(dsn: str, pg: psycopg.Connection) -> None:
    """A mock worker would end it in a moment, with nothing done."""
    pg.execute(FOREIGN)
    arguments = (
        "bench",
        "drain",
        "--times",
        "1",
        "--runs",
        "50",
        "--executor",
        "mock",
        "--skip",
        "crash_safe_settings",
    )
    reproq(dsn, *arguments, "--yes")
    assert pg.execute("SELECT task_path, status, attempts FROM task_runs").fetchall() == [
        ("shop.tasks.greet", "READY", 0)
    ]


def test_a_latency_is_not_measured_where_others_wait_in_the_same_queue(dsn: str, pg: psycopg.Connection) -> None:
    pg.execute(FOREIGN)
    result = reproq(dsn, "bench", "latency", "--yes", check=False)
    assert result.returncode == 2
    assert "1 runs wait in the queue 'default'" in result.stderr
    assert pg.execute("SELECT status, attempts FROM task_runs").fetchall() == [("READY", 0)]


def test_a_database_where_workers_are_at_work_is_refused(dsn: str, pg: psycopg.Connection) -> None:
    pg.execute("INSERT INTO reproq_workers (worker_id) VALUES ('w-1')")
    database = Database(dsn, "bench")
    with pytest.raises(ConfigurationError, match=r"1 workers are at work at .*; stop them first"):
        Place(database=database, config=Config(dsn=dsn), times=1).check()
    database.close()


def test_two_benches_draw_different_queues(dsn: str) -> None:
    one, other = (Place(database=Database(dsn, "bench"), config=Config(dsn=dsn), times=1).queue for _ in range(2))
    assert one != other
    assert one.startswith(PREFIX)


def test_workers_of_a_bench_delete_no_finished_run_of_others_and_fire_no_schedule(dsn: str) -> None:
    place = Place(database=Database(dsn, "bench"), config=Config(dsn=dsn), times=1)
    flags = processes._worker_flags(place, "w-1", "mock", None, place.queue)
    assert rules(retention(flags[flags.index("--retention") + 1])) == ()
    assert "--no-beat" in flags
