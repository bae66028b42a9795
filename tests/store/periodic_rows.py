"""Periodic tasks by plain SQL, and what has become of their ticks."""

from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Cursor, sql

from reproq.store import periodic
from reproq.store.periodic import Fired

NOW = datetime(2030, 1, 1, 12, 0, 45, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def at(minutes: float, seconds: float = 0) -> datetime:
    """A moment from the minute in which NOW lies."""
    return NOW.replace(second=0) + timedelta(minutes=minutes, seconds=seconds)


def add(cursor: Cursor[Any], name: str = "job", now: datetime | None = NOW, **columns: Any) -> None:
    """A periodic task of every minute, whose list was computed at `now`."""
    values = {"name": name, "cron_expr": "* * * * *", "task_path": "app.tasks.add"} | columns
    query = sql.SQL("INSERT INTO periodic_tasks ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join([sql.Placeholder()] * len(values))
    )
    cursor.execute(query, list(values.values()))
    assert periodic.refill_due(cursor, [name], now=now) == {}


def fire_all(cursor: Cursor[Any], name: str = "job", now: datetime = NOW) -> list[Fired]:
    """Call until nothing is due."""
    found = []
    while fired := periodic.fire(cursor, name, now=now):
        found += fired
    return found


def ticks(cursor: Cursor[Any]) -> list[tuple[datetime, str]]:
    """Every tick and its outcome, in order of time."""
    rows = cursor.execute("SELECT due_at, outcome FROM reproq_ticks ORDER BY due_at").fetchall()
    return [(due_at.astimezone(UTC), outcome) for due_at, outcome in rows]


def column(cursor: Cursor[Any], name: str) -> Any:
    """A column of the one periodic task."""
    row = cursor.execute(sql.SQL("SELECT {} FROM periodic_tasks").format(sql.Identifier(name))).fetchone()
    assert row is not None
    return row[0]
