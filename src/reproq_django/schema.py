"""The operations of our migrations: they act on the database aliases that a Reproq backend names, and on no other.

The DDL that Django has no words for (functions, triggers, storage) stands beside this file in `sql/`, one file a thing.
A line that ends in `-- since 0004` is not there before that migration: so a function is defined once, and what it was
in an earlier state of the schema, which a step back must leave, is the same text without such lines.
"""

import re
from importlib.resources import files
from typing import Any, Final

from django.db import migrations

from reproq_django.conf import database_aliases

DDL = files("reproq_django") / "sql"
_SINCE: Final = re.compile(r" *-- since (\d{4})$")


def ddl(name: str, until: str = "9999") -> str:
    """The text of `sql/<name>.sql` as it was until this migration; without one, as it is."""
    lines = (DDL / f"{name}.sql").read_text("utf-8").splitlines()
    marks = [_SINCE.search(line) for line in lines]
    kept = [_SINCE.sub("", line) for line, mark in zip(lines, marks, strict=True) if not mark or mark[1] <= until]
    return "\n".join(kept) + "\n"


class OnOurAliases:
    """Mix-in for operations on models: they act on the aliases that a Reproq backend names."""

    def allow_migrate_model(self, connection_alias: str, model: Any) -> bool:
        is_ours = connection_alias in database_aliases()
        return is_ours and bool(super().allow_migrate_model(connection_alias, model))  # type: ignore[misc]


class CreateTable(OnOurAliases, migrations.CreateModel):
    """CreateModel on our aliases."""


class AddColumn(OnOurAliases, migrations.AddField):
    """AddField on our aliases."""


class AlterColumn(OnOurAliases, migrations.AlterField):
    """AlterField on our aliases."""


class AddRule(OnOurAliases, migrations.AddConstraint):
    """AddConstraint on our aliases."""


class AddKey(OnOurAliases, migrations.AddIndex):
    """AddIndex on our aliases."""


class Install(migrations.RunSQL):
    """Run `sql/<name>.sql`, as it was until a migration if that is said; going back runs `undo`."""

    def __init__(self, name: str, undo: str, until: str = "9999") -> None:
        self.name = name
        self.undo = undo
        self.until = until
        super().__init__(ddl(name, until), undo)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.name, self.undo, self.until], {}

    def _is_ours(self, schema_editor: Any) -> bool:
        connection = schema_editor.connection
        return connection.vendor == "postgresql" and connection.alias in database_aliases()

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if self._is_ours(schema_editor):
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if self._is_ours(schema_editor):
            super().database_backwards(app_label, schema_editor, from_state, to_state)


class Replace(Install):
    """Run `drop`, then `sql/<name>.sql`; going back runs `drop`, then the file as it was until `was_until`."""

    def __init__(self, name: str, was_until: str, drop: str) -> None:
        super().__init__(name, f"{drop};\n{ddl(name, was_until)}")
        self.was_until = was_until
        self.drop = drop
        self.sql = f"{drop};\n{self.sql}"

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.name, self.was_until, self.drop], {}


class InstallLast(Install):
    """The same, behind the constraints and indexes, which Django makes at the very end of a migration."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if self._is_ours(schema_editor):
            schema_editor.deferred_sql.append(self.sql)
