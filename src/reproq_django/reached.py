"""How far a database was migrated. A migration is on record also where it made nothing, since TASKS did not name the
database yet; only the tables tell.
"""

from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from reproq_django import conf


def is_recorded(alias: str, migration: str) -> bool:
    """Whether this migration of ours was run there."""
    return (conf.APP, migration) in MigrationRecorder(connections[alias]).applied_migrations()


def has_our_tables(alias: str) -> bool:
    """Whether our tables are there."""
    from reproq_django.models import TaskRun

    return TaskRun._meta.db_table in connections[alias].introspection.table_names()


def is_migrated_to(alias: str, migration: str) -> bool:
    """Whether what this migration makes is there."""
    return is_recorded(alias, migration) and has_our_tables(alias)
