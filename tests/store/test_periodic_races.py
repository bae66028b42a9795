"""Many schedulers at once, lost answers, and beats that die between two statements: no tick is doubled or lost."""

import threading
from collections import Counter
from contextlib import closing

import psycopg
import pytest

from reproq.store import periodic
from reproq.store.db import Database, is_outage
from reproq.store.periodic import FirePeriodicTasks
from tests.store.periodic_rows import add, at, ticks
from tests.store.proxy import Fate, Proxy


def look_until_idle(database: Database, minute: int) -> None:
    while FirePeriodicTasks().run(database, at(minute)).fired:
        pass


def runs_of(pg: psycopg.Connection) -> Counter[str]:
    return Counter(row[0] for row in pg.execute("SELECT task_path FROM task_runs"))


@pytest.mark.lesson("two-schedulers-double-every-tick")
def test_ten_beats_at_once_fire_each_tick_once(dsn: str, pg: psycopg.Connection) -> None:
    names = [f"job.{number}" for number in range(5)]
    with pg.cursor() as cursor:
        for name in names:
            add(cursor, name, task_path=name)
    start = threading.Barrier(10)
    broken: list[BaseException] = []

    def beat() -> None:
        database = Database(dsn, "beat")
        try:
            for minute in range(1, 8):
                start.wait(30)
                look_until_idle(database, minute)
        except BaseException as error:
            broken.append(error)
            start.abort()
        finally:
            database.close()

    threads = [threading.Thread(target=beat) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken == []
    with pg.cursor() as cursor:
        assert Counter(ticks(cursor)) == {(at(minute), "enqueued"): 5 for minute in range(1, 8)}
    assert runs_of(pg) == dict.fromkeys(names, 7)


def test_sql_callers_that_wait_for_one_another_fire_a_tick_once(dsn: str, pg: psycopg.Connection) -> None:
    with pg.cursor() as cursor:
        add(cursor)
    with psycopg.connect(dsn) as first, psycopg.connect(dsn, autocommit=True) as second:
        assert len(periodic.fire(first.cursor(), "job", now=at(1))) == 1
        answers: list[int] = []
        waiting = threading.Thread(target=lambda: answers.append(len(periodic.fire(second.cursor(), "job", now=at(1)))))
        waiting.start()
        wait_for_a_lock(pg)
        first.commit()
        waiting.join()
    assert answers == [0]
    assert runs_of(pg) == {"app.tasks.add": 1}


def wait_for_a_lock(pg: psycopg.Connection) -> None:
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while pg.execute(waits).fetchone() == (0,):
        pass


def test_a_beat_leaves_a_row_that_another_holds(dsn: str, pg: psycopg.Connection) -> None:
    with pg.cursor() as cursor:
        add(cursor, "held")
        add(cursor, "free")
        with psycopg.connect(dsn) as other:
            other.execute("SELECT FROM periodic_tasks WHERE name = 'held' FOR UPDATE")
            assert [fired.name for fired in periodic.fire_due(cursor, now=at(1))] == ["free"]


def through_it(proxy: Proxy, minute: int) -> bool:
    """Look through the proxy as a beat does, until nothing is due; whether the connection held. A session that was cut
    off holds its row until the server has noticed."""
    database = Database(proxy.dsn, "beat")
    with closing(database):
        try:
            while (FirePeriodicTasks().run(database, at(minute)).next_seconds or 0) <= 0:
                pass
        except psycopg.Error as error:
            if not is_outage(error):
                raise
            return False
    return True


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_lost_answer_to_a_commit_neither_doubles_nor_loses_a_tick(
    proxy: Proxy, pg: psycopg.Connection, number: int
) -> None:
    commits = 0

    def lose(message: bytes) -> Fate:
        nonlocal commits
        commits += b"COMMIT" in message
        return Fate.LOSE_ANSWER if b"COMMIT" in message and commits == number else Fate.PASS

    with pg.cursor() as cursor:
        add(cursor)
    proxy.fate = lose
    assert not through_it(proxy, 1)
    assert through_it(proxy, 1)
    with pg.cursor() as cursor:
        assert ticks(cursor) == [(at(1), "enqueued")]
    assert runs_of(pg) == {"app.tasks.add": 1}


def test_a_beat_that_dies_between_any_two_statements_neither_doubles_nor_loses_a_tick(
    proxy: Proxy, pg: psycopg.Connection
) -> None:
    with pg.cursor() as cursor:
        add(cursor)
    for minute in range(1, 40):
        left = minute

        def cut(message: bytes) -> Fate:
            nonlocal left
            left -= 1
            return Fate.CUT if left == 0 else Fate.PASS

        proxy.fate = cut
        survived = through_it(proxy, minute)
        proxy.fate = lambda message: Fate.PASS
        assert through_it(proxy, minute)
        with pg.cursor() as cursor:
            assert ticks(cursor) == [(at(one), "enqueued") for one in range(1, minute + 1)]
        if survived:
            break
    assert minute > 10, "a look is many messages"
    assert runs_of(pg) == {"app.tasks.add": minute}


def test_a_deleted_or_edited_task_does_not_break_a_beat(dsn: str, pg: psycopg.Connection) -> None:
    with pg.cursor() as cursor:
        add(cursor, "gone")
        add(cursor, "edited")
    database = Database(dsn, "beat")
    pg.execute("DELETE FROM periodic_tasks WHERE name = 'gone'")
    pg.execute("UPDATE periodic_tasks SET cron_expr = '@hourly' WHERE name = 'edited'")
    answer = FirePeriodicTasks().run(database, at(1))
    database.close()
    assert (answer.fired, answer.trouble) == ([], "")
    assert answer.next_seconds == (at(60) - at(1)).total_seconds()


def test_a_tick_wakes_a_worker_that_waits_for_its_queue_when_it_commits(dsn: str, pg: psycopg.Connection) -> None:
    pg.execute("INSERT INTO reproq_workers (worker_id, idle_queues) VALUES ('w', '{mail}')")
    with pg.cursor() as cursor:
        add(cursor, queue_name="mail")
        add(cursor, "other", queue_name="slow")
    with psycopg.connect(dsn, autocommit=True) as listener:
        listener.execute("LISTEN reproq_wake")
        with pg.transaction(), pg.cursor() as cursor:
            assert len(periodic.fire_due(cursor, now=at(1))) == 2
            assert list(listener.notifies(timeout=0)) == []
        heard = [note.payload for note in listener.notifies(timeout=5, stop_after=1)]
        heard += [note.payload for note in listener.notifies(timeout=0)]
    assert heard == ["mail"]
