"""`reproq loadgen` through the real door, and the runs that it makes up."""

import shlex
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from itertools import islice
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from reproq.loadtest.loadgen import BATCH_CHARS, write
from reproq.loadtest.made_up import LATEST_SECONDS, Shape, made_up
from reproq.store.db import opened
from tests.acceptance.workers import ROOT, environment, reproq, statuses, wait_for

TASK = "reproq_django.noop.do_nothing"


def shape(**more: object) -> Shape:
    usual = {"task_path": TASK, "seed": 7, "queues": ("a", "b"), "priorities": (0,), "later_percent": 10.0}
    return Shape(**(usual | {"payload_size": 100} | more))


def hashes(count: int, **more: object) -> list[str]:
    return [run.spec.spec_hash for run in islice(made_up(shape(**more)), count)]


def test_one_seed_gives_the_same_specs_whatever_the_queues_and_priorities_are() -> None:
    assert hashes(50) == hashes(50, queues=("x",), priorities=(1, 2, 3), later_percent=100.0, max_attempts=1)


@pytest.mark.parametrize("size", [0, 1, 100])
def test_no_two_specs_are_the_same_in_one_load_or_in_two(size: int) -> None:
    assert len({*hashes(2000, payload_size=size), *hashes(2000, payload_size=size, seed=8)}) == 4000


def test_the_text_has_the_size_asked_for_and_later_runs_the_share_asked_for() -> None:
    runs = list(islice(made_up(shape(payload_size=33, later_percent=25.0)), 4000))
    assert {len(run.spec.args_json) - len('[7,,""]') - len(str(n)) for n, run in enumerate(runs)} == {33}
    delays = [delay for run in runs if (delay := run.terms.delay_seconds) is not None]
    assert 900 < len(delays) < 1100
    assert 1.0 <= min(delays) <= max(delays) <= LATEST_SECONDS


def test_the_defaults_are_those_of_the_source_document(dsn: str, pg: psycopg.Connection) -> None:
    shown = reproq(dsn, "loadgen", "--seed", "3").stdout
    assert "1,000 runs are written in " in shown
    assert "seed 3: default 3" in shown
    rows = pg.execute("SELECT queue_name, priority, status FROM task_runs").fetchall()
    assert {queue for queue, _, _ in rows} == {"default", "high", "low"}
    assert {priority for _, priority, _ in rows} == {-10, 0, 10}
    assert 60 < Counter(status for _, _, status in rows)["SCHEDULED"] < 140
    assert pg.execute("SELECT count(DISTINCT spec_hash) FROM task_runs").fetchone() == (1000,)
    wrong = "SELECT count(*) FROM task_runs WHERE spec_hash <> reproq_spec_hash(task_path, args, kwargs)"
    assert pg.execute(wrong).fetchone() == (0,)


def test_a_queue_that_the_backend_does_not_allow_is_refused_by_name_before_anything_is_written(
    dsn: str, pg: psycopg.Connection
) -> None:
    names = ("--queues", "mail,low,defualt")
    refused = reproq(dsn, "loadgen", *names, check=False, PROJECT_QUEUES="default,mail")
    assert refused.returncode == 2
    said = " ".join(refused.stderr.split())
    for part in ("the queue 'low', in which no task can be: QUEUES has default, mail", "did you mean default?"):
        assert part in said
    assert "add it to QUEUES of TASKS['default']" in said
    assert statuses(pg) == {}


@pytest.mark.parametrize(("queues", "drawn"), [("default,mail", {"default"}), ("mail,audit", {"mail", "audit"})])
def test_of_the_default_queues_those_are_left_that_the_backend_allows_and_that_is_said(
    queues: str, drawn: set[str], dsn: str, pg: psycopg.Connection
) -> None:
    written = reproq(dsn, "loadgen", "--tasks", "60", PROJECT_QUEUES=queues)
    assert f"QUEUES of TASKS['default'] has {queues.replace(',', ', ')}: runs are drawn from" in written.stderr
    assert "high, low; choose by --queues, or add them to QUEUES" in written.stderr
    assert {name for (name,) in pg.execute("SELECT DISTINCT queue_name FROM task_runs")} == drawn


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("tests.acceptance.project.tasks.ad", "has no 'ad' (did you mean 'add'?)"),
        ("tests.acceptance.project.nowhere.add", "importing 'tests.acceptance.project.nowhere' raised ModuleNotFound"),
        ("tests.acceptance.project.tasks.Path", "which is a type, not a Task"),
        ("tests.acceptance.project.tasks.add", "add(first: int, second: int) -> int does not take these arguments"),
    ],
)
def test_a_task_that_no_worker_could_run_is_refused_before_anything_is_written(
    path: str, says: str, dsn: str, pg: psycopg.Connection
) -> None:
    refused = reproq(dsn, "loadgen", "--task", path, check=False)
    assert refused.returncode == 2
    said = " ".join(refused.stderr.split())
    for part in (
        path,
        says,
        "No run is written; give --task the path of a task that takes a seed, a number and a text",
    ):
        assert part in said
    assert statuses(pg) == {}


def test_a_task_of_the_project_that_takes_them_and_one_that_a_program_runs_are_written(
    dsn: str, pg: psycopg.Connection, tmp_path: Path
) -> None:
    reproq(dsn, "loadgen", "--tasks", "5", "--task", "tests.django.tasks.echo")
    commands = '{"media.*": ["/bin/true"]}'
    reproq(dsn, "loadgen", "--tasks", "5", "--task", "media.resize", REPROQ_COMMANDS=commands)
    assert sum(statuses(pg).values()) == 10


def test_a_worker_of_any_project_runs_them(dsn: str, pg: psycopg.Connection) -> None:
    options = ("--tasks", "20", "--queues", "default,x", "--priority-dist", "-10,5", "--run-after-percent", "0")
    reproq(dsn, "loadgen", *options, "--payload-size", "10")
    reproq(dsn, "worker", "--burst", "--queues", "*")
    assert statuses(pg) == {"SUCCESSFUL": 20}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--tasks", "-1"), "-1 is not in the range 0<=x<="),
        (("--tasks", "many"), "'many' is not a valid integer range"),
        (("--run-after-percent", "101"), "101.0 is not in the range 0<=x<=100"),
        (("--run-after-percent", "-1"), "-1.0 is not in the range 0<=x<=100"),
        (("--payload-size", "-5"), "-5 is not in the range 0<=x<=1000000"),
        (("--rate", "nan"), "nan is not in the range 0<x<=1000000"),
        (("--run-after-percent", "nan"), "nan is not in the range 0<=x<=100"),
        (("--rate", "0"), "0.0 is not in the range 0<x<=1000000"),
        (("--queues", "default,,low"), "the queue name '' must be a text of 1 to 200 characters"),
        (("--queues", "*"), "the queue name '*' must be printable, without commas, asterisks"),
        (("--priority-dist", "0,101"), "the priority '101' is no whole number from -100 to 100"),
        (("--priority-dist", "low"), "the priority 'low' is no whole number from -100 to 100"),
        (("--task", "greet"), "'greet' is no task path such as shop.tasks.greet"),
        (("--seed", "-1"), "-1 is not in the range"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_value_and_bound(arguments: tuple[str, ...], says: str) -> None:
    result = reproq("host=/nonexistent dbname=none", "loadgen", *arguments, check=False)
    assert result.returncode == 2
    assert says in " ".join(result.stderr.split())


def test_a_database_that_is_not_migrated_names_the_command(empty_dsn: str) -> None:
    result = reproq(empty_dsn, "loadgen", check=False)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "python manage.py migrate" in result.stderr


@pytest.mark.parametrize("dsn_of_another", ["mysql://user@host/name", "sqlite:///db.sqlite3"])
def test_another_kind_of_database_is_refused(dsn: str, dsn_of_another: str) -> None:
    result = reproq(dsn, "loadgen", "--dsn", dsn_of_another, check=False)
    assert result.returncode == 2
    assert "write it as postgresql://" in result.stderr


def test_a_project_on_another_kind_of_database_is_refused(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "lite.py").write_text(
        "SECRET_KEY = 'x'\nDATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n"
        "INSTALLED_APPS = ['reproq_django']\n"
        "TASKS = {'default': {'BACKEND': 'reproq_django.backend.ReproqBackend'}}\n"
    )
    path = f"{tmp_path}:{ROOT / 'src'}"
    result = reproq(dsn, "loadgen", check=False, DJANGO_SETTINGS_MODULE="lite", PYTHONPATH=path)
    assert result.returncode == 2
    assert "is sqlite; Reproq needs PostgreSQL" in result.stderr


def test_a_signal_ends_it_between_two_batches_and_it_says_how_many_are_written(
    dsn: str, pg: psycopg.Connection
) -> None:
    command = [sys.executable, "-m", "reproq", "loadgen", "--tasks", "1000000", "--rate", "200"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=environment(dsn), cwd=ROOT, stdout=pipe, stderr=pipe, text=True)
    wait_for("the first batch", lambda: statuses(pg))
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    (written,) = pg.execute("SELECT count(*) FROM task_runs").fetchone()
    assert process.returncode == 1
    assert f"stopped by a signal: {written:,} of 1,000,000 are written, in whole batches" in errors
    assert f"{written:,} runs are written in " in output


@pytest.mark.parametrize("background", [False, True])
def test_a_second_signal_ends_one_whose_database_does_not_answer(
    dsn: str, pg: psycopg.Connection, background: bool
) -> None:
    """The batch that hangs is rolled back whole. In the background of a shell, INT comes ignored."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(dsn) as holder:
        holder.execute("LOCK TABLE task_runs IN EXCLUSIVE MODE")
        ignoring = "trap '' INT; " if background else ""
        shell = f"{ignoring}exec {shlex.quote(sys.executable)} -m reproq loadgen"
        command = ["/bin/sh", "-c", shell]
        process = subprocess.Popen(command, env=environment(dsn), cwd=ROOT, stderr=subprocess.DEVNULL)
        wait_for("the batch to hang", lambda: pg.execute(waits).fetchone() == (1,))
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        for _ in range(40):  # two that come close together are one to a process that has had no time yet
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                assert process.wait(0.5) != 0
                break
        assert process.poll() is not None
    assert statuses(pg) == {}


def test_the_rate_is_kept(dsn: str, pg: psycopg.Connection) -> None:
    reproq(dsn, "loadgen", "--tasks", "100", "--rate", "100")
    spread = "SELECT extract(epoch FROM max(enqueued_at) - min(enqueued_at))::float8 FROM task_runs"
    ((seconds,),) = pg.execute(spread).fetchall()
    assert 0.8 < seconds < 30.0, "as slow as asked for; how quick it can be at least is the machine's affair"


def test_large_arguments_travel_in_small_batches(dsn: str, pg: psycopg.Connection) -> None:
    batches: list[int] = []
    with opened(dsn, "loadgen") as database:
        written = write(database, made_up(shape(payload_size=1_000_000)), 20, None, lambda: False, batches.append)
    assert written.total() == sum(batches) == 20
    assert max(batches) * 1_000_000 < BATCH_CHARS + 1_000_000
    assert pg.execute("SELECT count(*) FROM task_runs WHERE length(args::text) > 1000000").fetchone() == (20,)


def test_a_mistaken_address_shows_no_password(dsn: str) -> None:
    nowhere = conninfo.make_conninfo(dsn, host="127.0.0.1", port="1", password="s3cret")
    result = reproq(nowhere, "loadgen", check=False)
    assert result.returncode == 1
    assert "s3cret" not in result.stderr + result.stdout
