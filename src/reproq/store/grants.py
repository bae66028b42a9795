"""What each kind of role needs, and no more, as SQL that an owner of the tables runs. Nothing here executes anything.

producer: enqueues and reads results. worker: what `reproq worker` does with its own connection; what tasks do is their
project's affair. operator: every command for people, and prune.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from psycopg import sql

from reproq.errors import ConfigurationError

MAX_NAME_BYTES: Final = 63


class Role(StrEnum):
    """Who connects."""

    PRODUCER = "producer"
    WORKER = "worker"
    OPERATOR = "operator"


_ENQUEUEING: Final = (
    "reproq_canonical",
    "reproq_spec_hash",
    "reproq_within_bounds",
    "reproq_wake",
    "reproq_enqueue",
    "reproq_insert_run",
)
_SCHEDULING: Final = (
    "reproq_fire_periodic_tasks",
    "reproq_enqueue_periodic_task",
    "reproq_fire_due",
    "reproq_prune_pgcron",
)
TABLES: Final[Mapping[Role, Mapping[str, tuple[str, ...]]]] = {
    Role.PRODUCER: {
        "task_runs": ("SELECT", "INSERT"),
        "reproq_workers": ("SELECT",),  # who waits to be woken
        "reproq_meta": ("SELECT",),  # which installation this is
    },
    Role.WORKER: {
        "task_runs": ("SELECT", "INSERT", "UPDATE", "DELETE"),  # INSERT: a worker fires schedules, too
        "reproq_workers": ("SELECT", "INSERT", "UPDATE", "DELETE"),
        "reproq_logs": ("SELECT", "INSERT", "UPDATE", "DELETE"),
        "reproq_meta": ("SELECT",),
        "periodic_tasks": ("SELECT", "UPDATE"),
        "reproq_ticks": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    },
    Role.OPERATOR: {
        "task_runs": ("SELECT", "INSERT", "UPDATE", "DELETE"),
        "reproq_workers": ("SELECT",),
        "reproq_logs": ("SELECT", "DELETE"),
        "reproq_meta": ("SELECT",),
        "periodic_tasks": ("SELECT", "INSERT", "UPDATE", "DELETE"),
        "reproq_ticks": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    },
}
ROUTINES: Final[Mapping[Role, tuple[str, ...]]] = {
    Role.PRODUCER: _ENQUEUEING,
    Role.WORKER: (*_ENQUEUEING, *_SCHEDULING),
    Role.OPERATOR: (*_ENQUEUEING, *_SCHEDULING),
}
_MAY_GRANT: Final = """DO $check$
BEGIN
    IF NOT has_table_privilege({runs}, 'INSERT WITH GRANT OPTION') THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('the role %s may not grant rights on %s', current_user, {runs}),
            HINT = 'Run this as the owner of the tables, or as a superuser.';
    END IF;
END
$check$;"""
_CHECK: Final = """DO $check$
DECLARE
    wanted text[];
BEGIN
    FOREACH wanted SLICE 1 IN ARRAY ARRAY[
        {wanted}
    ] LOOP
        IF NOT has_table_privilege(wanted[1], wanted[2], wanted[3]) THEN
            RAISE EXCEPTION 'the role % lacks % on %', wanted[1], wanted[3], wanted[2]
                USING HINT = 'Run this as the owner of the tables, or as a superuser.';
        END IF;
    END LOOP;
END
$check$;"""


def grants(roles: Mapping[Role, str], schema: str) -> str:
    """The statements, in one transaction; run again, they change nothing. Raises ConfigurationError for a bad name.

    Who may not grant is told so first, and who may. At the end each privilege is looked at: to PostgreSQL, a
    GRANT by somebody who may grant only a part is a warning.
    """
    for what, name in (*roles.items(), ("schema", schema)):
        _check_name(what, name)
    lines = ["BEGIN;", _MAY_GRANT.format(runs=_text(_name(schema, "task_runs")))]
    for part, role in roles.items():
        lines += [f"-- {part}: {role}".replace("\n", " "), *_statements(part, role, schema)]
    wanted = [
        f"[{_text(role)}, {_text(_name(schema, table))}, {_text(privilege)}]"
        for part, role in roles.items()
        for table, privileges in TABLES[part].items()
        for privilege in privileges
    ]
    return "\n".join([*lines, _CHECK.format(wanted=",\n        ".join(wanted)), "COMMIT;"])


def _statements(part: Role, role: str, schema: str) -> Iterator[str]:
    grantee = _name(role)
    yield f"GRANT USAGE ON SCHEMA {_name(schema)} TO {grantee};"
    for table, privileges in TABLES[part].items():
        yield f"GRANT {', '.join(privileges)} ON {_name(schema, table)} TO {grantee};"
    for routine in ROUTINES[part]:
        yield f"GRANT EXECUTE ON ROUTINE {_name(schema, routine)} TO {grantee};"


def _check_name(what: str, name: str) -> None:
    if not name or "\0" in name or len(name.encode()) > MAX_NAME_BYTES or name.lower() == "public":
        if what == "schema" and name.lower() == "public":
            return
        raise ConfigurationError(
            f"--{what} = {name!r} can be no role or schema here; give a name of 1 to {MAX_NAME_BYTES} bytes other than "
            "PUBLIC"
        )


def _name(*parts: str) -> str:
    return sql.Identifier(*parts).as_string()


def _text(value: str) -> str:
    return sql.Literal(value).as_string()
