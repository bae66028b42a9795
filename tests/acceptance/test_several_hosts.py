"""Workers on hosts of their own; one is cut off for longer than its lease, and comes back."""

from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.listening import server_in
from tests.acceptance.network import Network
from tests.acceptance.workers import TASKS, alive, reproq, statuses, wait_for, worker

LEASE = ("--lease", "5s", "--heartbeat", "500ms")
WAIT = f"""INSERT INTO task_runs (task_path, args, backoff_seconds)
VALUES ('{TASKS}.wait_at', json_build_array(%s::text, %s::text), '{{0}}')"""
TOGETHER = 12
"""As many as all three can run at once."""
MEET = f"""INSERT INTO task_runs (task_path, args)
SELECT '{TASKS}.wait_at', json_build_array(%s::text, %s || number) FROM generate_series(1, {TOGETHER}) AS number"""
HELD = {"one": "cut", "two": "cut", "three": "healed"}
"""Runs of the host that is cut off, and when they may end: two while it is, one when it is back."""


@pytest.mark.slow
@pytest.mark.waits
def test_what_a_host_held_that_is_cut_off_is_finished_by_others_and_its_late_ends_change_nothing(
    tmp_path: Path,
) -> None:
    logs = [tmp_path / f"{number}.log" for number in range(3)]
    with Network.of(3) as network, server_in(network, tmp_path) as (dsn, from_hosts), ExitStack() as stack:
        pg = stack.enter_context(psycopg.connect(dsn, autocommit=True))

        def start(number: int) -> int:
            with network.inside(network.host(number)):
                flags = (*LEASE, "--worker-id", f"w{number}", "--concurrency", "4")
                return stack.enter_context(worker(from_hosts, logs[number], *flags)).pid

        pids = [start(0)]
        for name, gate in HELD.items():
            pg.execute(WAIT, [str(tmp_path / gate), str(tmp_path / name)])
        wait_for("the first to begin them", lambda: all((tmp_path / name).exists() for name in HELD))
        pids += [start(1), start(2)]
        wait_for("the others", lambda: all("worker.started" in log.read_text() for log in logs))
        network.pull(0)
        (tmp_path / "cut").touch()
        taken_over = "SELECT count(*) FROM task_runs WHERE worker_ids[1] = 'w0' AND worker_ids[2] <> 'w0'"
        wait_for("the others to take over", lambda: pg.execute(taken_over).fetchone() == (len(HELD),))
        network.plug(0)
        wait_for("it to be told", lambda: logs[0].read_text().count("run.outcome_discarded") == len(HELD))
        (tmp_path / "healed").touch()
        wait_for("all runs to end", lambda: statuses(pg) == {"SUCCESSFUL": len(HELD)})
        pg.execute(MEET, [str(tmp_path / "met"), str(tmp_path / "meets-")])
        wait_for("all three to work", lambda: len(list(tmp_path.glob("meets-*"))) == TOGETHER)
        (tmp_path / "met").touch()
        wait_for("all runs to end", lambda: statuses(pg) == {"SUCCESSFUL": len(HELD) + TOGETHER})
        ends = pg.execute("SELECT attempts, failures, releases, count(*) FROM task_runs GROUP BY 1, 2, 3 ORDER BY 1")
        assert ends.fetchall() == [(1, 0, 0, TOGETHER), (2, 1, 0, len(HELD))]
        assert pg.execute("SELECT count(*) FROM task_runs WHERE worker_ids = '{w0}'").fetchone() == (TOGETHER // 3,)
        assert all(alive(pid) for pid in pids)
        assert reproq(dsn, "verify", *LEASE, "--skip", "crash_safe_settings").returncode == 0
    log = logs[0].read_text()
    assert (log.count("database lost"), log.count("database back")) == (1, 1)
    assert {name: (tmp_path / name).read_text().split() for name in HELD} == {
        "one": ["began", "ended", "began", "ended"],
        "two": ["began", "ended", "began", "ended"],
        "three": ["began", "began", "ended"],  # the first was stopped when its worker learned that it was another's
    }
    assert log.count("run.lease_lost") == 1
