"""The operations of our migrations: they act on the database aliases that a Reproq backend names, and on no other.

The DDL that Django has no words for (functions, triggers, storage) stands beside this file in `sql/`, one file a thing.
What a later migration has replaced stands in a folder of `sql/` that says until which one it was in force.
"""

from importlib.resources import files
from typing import Any

from django.db import migrations

from reproq_django.conf import database_aliases

DDL = files("reproq_django") / "sql"


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
    """Run `sql/<name>.sql`; going back drops what `undo` says."""

    def __init__(self, name: str, undo: str) -> None:
        self.name = name
        self.undo = undo
        super().__init__((DDL / f"{name}.sql").read_text("utf-8"), undo)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.name, self.undo], {}

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
    """Run `drop`, then `sql/<name>.sql`; going back runs `drop`, then `sql/<was>.sql`, which was there before."""

    def __init__(self, name: str, was: str, drop: str) -> None:
        super().__init__(name, f"{drop};\n{(DDL / f'{was}.sql').read_text('utf-8')}")
        self.was = was
        self.drop = drop
        self.sql = f"{drop};\n{self.sql}"

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.name, self.was, self.drop], {}


class InstallLast(Install):
    """The same, behind the constraints and indexes, which Django makes at the very end of a migration."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if self._is_ours(schema_editor):
            schema_editor.deferred_sql.append(self.sql)
