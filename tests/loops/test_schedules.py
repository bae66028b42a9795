"""Schedules in a worker's loop and in a beat: when they look, what they tell, and that many of them do no harm."""

from datetime import timedelta

import psycopg
import pytest

from reproq.config import Config
from reproq.scheduler.beat import Beat
from reproq.store.db import Database
from reproq.store.periodic import FirePeriodicTasks, PruneTicks
from reproq.store.workers import WorkerRow
from reproq.telemetry.events import Measure, Telemetry
from tests.loops.conftest import CutStore
from tests.store.periodic_rows import add, ticks


@pytest.fixture
def schedule(bench):
    """Add a periodic task at the bench's clock, which is 40 seconds past a minute."""

    def make(name="job", **columns):
        with bench.pg.cursor() as cursor:
            add(cursor, name, now=bench.clock.now(), **columns)

    return make


class Beating:
    """A beat over the bench's database, by the bench's clock."""

    def __init__(self, bench, name, **options):
        self.clock = bench.clock
        self.events, self.lags = [], []
        self.store = CutStore(Database(bench._dsn, name), bench.clock.now)
        row = WorkerRow(
            worker_id=name,
            hostname="h",
            pid=1,
            queues=(),
            executor="",
            concurrency=0,
            version="0",
            role="beat",
            beats=True,
        )
        telemetry = Telemetry([self.events.append], [lambda measure, seconds: self.lags.append((measure, seconds))])
        self.beat = Beat(Config(**options), row, self.store, telemetry, bench.clock.monotonic)

    def steps(self, times=4):
        for _ in range(times):
            self.beat.step(0)

    def told(self, name):
        return [event.fields for event in self.events if event.name == name]

    def looks(self):
        return sum(isinstance(request, FirePeriodicTasks) for request in self.store.asked)


@pytest.fixture
def beating(bench):
    made = []

    def make(name="beat-1", **options):
        made.append(Beating(bench, name, **options))
        return made[-1]

    yield make
    for one in made:
        one.beat.close()


def test_a_beat_fires_a_schedule_at_its_moment_and_looks_no_sooner(bench, schedule, beating):
    schedule()
    one = beating(beat_interval=3600.0)
    one.steps()
    before = one.looks()
    bench.clock.advance(19.9)
    one.steps()
    assert (one.told("schedule.enqueued"), one.looks()) == ([], before)
    bench.clock.advance(0.15)
    one.steps()
    (told,) = one.told("schedule.enqueued")
    assert told["schedule"] == "job"
    assert told["lag_seconds"] == pytest.approx(0.05)
    assert one.lags == [(Measure.SCHEDULE_LAG, [pytest.approx(0.05)])]


def test_a_tick_costs_one_look(bench, schedule, beating):
    schedule()
    one = beating()
    one.steps()
    bench.clock.advance(9.99)
    one.steps()
    before = one.looks()
    bench.clock.advance(10.05)
    one.steps()
    assert (len(one.told("schedule.enqueued")), one.looks() - before) == (1, 1)


def test_a_beat_waits_for_the_next_moment_and_not_for_longer(bench, schedule, beating):
    schedule()
    one = beating(beat_interval=3600.0)
    one.steps()
    until = min(one.beat._moments())
    assert 0 < until - bench.clock.monotonic() <= 20.01


def test_where_nothing_is_scheduled_it_looks_once_an_interval(bench, beating):
    one = beating(beat_interval=10.0)
    one.steps()
    assert one.looks() == 1
    bench.clock.advance(9.9)
    one.steps()
    assert one.looks() == 1
    bench.clock.advance(0.2)
    one.steps()
    assert one.looks() == 2


def test_what_was_added_or_changed_is_noticed_within_the_interval(bench, schedule, beating):
    one = beating(beat_interval=5.0)
    one.steps()
    bench.pg.execute("INSERT INTO periodic_tasks (name, cron_expr, task_path) VALUES ('sql', '* * * * * *', 'x.y')")
    bench.clock.advance(5.0)
    one.steps()
    bench.clock.advance(1.01)
    one.steps()
    assert [told["schedule"] for told in one.told("schedule.enqueued")] == ["sql"]


def test_a_beat_has_a_row_of_its_own_and_takes_it_away(bench, beating):
    one = beating()
    one.steps()
    row = "SELECT worker_id, role, beats, cardinality(queues), concurrency FROM reproq_workers"
    assert bench.pg.execute(row).fetchone() == ("beat-1", "beat", True, 0, 0)
    seen = bench.pg.execute("SELECT last_seen_at FROM reproq_workers").fetchone()
    bench.clock.advance(10.1)
    one.steps()
    assert bench.pg.execute("SELECT last_seen_at FROM reproq_workers").fetchone() > seen
    assert [event.name for event in one.events][:1] == ["beat.started"]
    one.beat.drain()
    one.steps(1)
    assert one.beat.finished
    one.beat.close()
    assert bench.pg.execute(row).fetchone() is None
    one.beat.close = lambda: None


def test_a_beat_survives_an_outage_and_fires_what_became_due(bench, schedule, beating):
    schedule(catch_up="all")
    one = beating()
    one.steps()
    one.store.cut = True
    bench.clock.advance(125)
    one.steps()
    assert one.told("schedule.enqueued") == []
    one.store.mend()
    one.steps(8)
    assert [told["schedule"] for told in one.told("schedule.enqueued") + one.told("schedule.caught_up")] == ["job"] * 2


def test_a_beat_that_is_told_to_stop_waits_a_moment_for_its_answer_and_no_longer(bench, schedule, beating):
    one = beating()
    one.steps()
    one.store.cut = True
    bench.clock.advance(11)
    one.steps()
    one.beat.drain()
    assert not one.beat.finished
    bench.clock.advance(4.1)
    assert one.beat.finished


def test_a_fault_is_told_once_and_stops_nothing(bench, schedule, beating):
    schedule()
    bench.pg.execute("INSERT INTO periodic_tasks (name, cron_expr, task_path) VALUES ('bad', '0 0 30 2 *', 'x.y')")
    one = beating()
    for _ in range(20):
        bench.clock.advance(10)
        one.steps()
    (fault,) = one.told("schedule.fault")
    assert fault["schedule"] == "bad"
    assert "never fires" in fault["fault"]
    assert len(one.told("schedule.enqueued")) == 4


def test_two_beats_and_two_workers_fire_each_tick_once(bench, schedule, beating):
    schedule()
    beats = [beating("beat-1"), beating("beat-2")]
    workers = [bench.worker(name, beat=True)[0] for name in ("w1", "w2")]
    for _ in range(12):
        for one in beats:
            one.steps(2)
        for worker in workers:
            bench.steps(worker, 2)
        bench.clock.advance(10)
    with bench.pg.cursor() as cursor:
        fired = ticks(cursor)
    assert len(fired) == 2
    assert fired[1][0] - fired[0][0] == timedelta(minutes=1)


def test_a_worker_fires_a_schedule_and_runs_it_at_once(bench, schedule):
    schedule()
    worker, executor, events = bench.worker(beat=True, poll_interval=1000.0)
    bench.steps(worker)
    bench.clock.advance(20.01)
    bench.steps(worker)
    assert len(executor.payloads) == 1
    assert "schedule.enqueued" in [event.name for event in events]


def test_a_worker_without_a_beat_leaves_schedules_alone(bench, schedule):
    schedule()
    worker, executor, _ = bench.worker(beat=False)
    bench.clock.advance(60)
    bench.steps(worker)
    assert executor.payloads == {}
    assert not any(isinstance(request, FirePeriodicTasks) for request in bench.stores["w1"].asked)


def test_a_draining_worker_fires_nothing_more(bench, schedule):
    schedule()
    worker, executor, _ = bench.worker(beat=True)
    bench.steps(worker)
    executor.payloads["held"] = None
    worker.drain()
    bench.clock.advance(21)
    bench.steps(worker)
    del executor.payloads["held"]
    with bench.pg.cursor() as cursor:
        assert ticks(cursor) == []


def test_what_stays_overdue_is_told_once_until_it_has_been_looked_at(bench, schedule, beating):
    schedule()
    one = beating()
    one.steps()
    with psycopg.connect(bench._dsn) as other:
        other.execute("SELECT FROM periodic_tasks FOR UPDATE")
        for _ in range(8):
            bench.clock.advance(10)
            one.steps()
        assert [told["reason"] for told in one.told("schedule.overdue")] == ["another session holds it"]
    for _ in range(3):
        bench.clock.advance(1)
        one.steps()
    assert one.told("schedule.caught_up") + one.told("schedule.enqueued") != []
    assert len(one.told("schedule.overdue")) == 1


def test_a_worker_without_a_beat_says_that_nobody_fires(bench, schedule):
    schedule()
    worker, _, events = bench.worker(beat=False)
    for _ in range(26):
        bench.clock.advance(5)
        bench.steps(worker)
    (told,) = [event.fields for event in events if event.name == "schedule.overdue"]
    assert told["reason"].startswith("nobody fires it; start reproq beat")


def test_a_worker_that_only_fills_lists_looks_before_the_shortest_runs_out(bench):
    worker, _, _ = bench.worker(beat=False, beat_interval=3600.0)
    bench.steps(worker)
    bench.pg.execute("INSERT INTO periodic_tasks (name, cron_expr, task_path) VALUES ('job', '* * * * * *', 'x.y')")
    bench.clock.advance(10.1)
    bench.steps(worker)
    assert bench.pg.execute("SELECT cardinality(upcoming) FROM periodic_tasks").fetchone() == (50,)


def test_each_look_is_told_with_what_it_came_to(bench, schedule, beating):
    schedule()
    one = beating()
    one.steps()
    (looked,) = one.told("schedule.looked")
    assert (looked["fired"], looked["filled"]) == (0, 0)
    assert looked["next_s"] == pytest.approx(20.0)


def test_a_queued_tick_is_fired_within_a_second_of_the_end_it_waits_for(bench, schedule, beating):
    schedule(overlap="queue_one")
    one = beating()
    for _ in range(8):
        one.steps()
        bench.clock.advance(10)
    one.steps()
    assert [told["reason"] for told in one.told("schedule.queued")] == ["the run before has not finished"]
    bench.pg.execute("UPDATE task_runs SET status = 'FAILED', finished_at = now()")
    bench.clock.advance(1.0)
    one.steps()
    assert len(one.told("schedule.enqueued")) == 2


def test_ticks_are_pruned_now_and_then_and_not_by_a_process_that_lives_for_seconds(bench, beating):
    one = beating()
    one.steps()
    assert not any(isinstance(request, PruneTicks) for request in one.store.asked)
    for _ in range(13):
        bench.clock.advance(5)
        one.steps()
    assert sum(isinstance(request, PruneTicks) for request in one.store.asked) == 1


def test_a_worker_without_a_beat_keeps_the_lists_filled_by_which_pg_cron_fires(bench):
    bench.pg.execute("INSERT INTO periodic_tasks (name, cron_expr, task_path) VALUES ('job', '* * * * *', 'x.y')")
    worker, _, _ = bench.worker(beat=False)
    bench.steps(worker)
    assert bench.pg.execute("SELECT cardinality(upcoming), last_run_at FROM periodic_tasks").fetchone() == (50, None)
    assert not bench.pg.execute("SELECT bool_or(beats) FROM reproq_workers").fetchone()[0]
