"""`ReproqRouter`: where our models live, in a project with several databases. It speaks of no other model.

The engine never asks it: backends, workers and the admin take the alias of their OPTIONS. It is for what goes through
Django's ORM: `TaskRun.objects`, `dumpdata`, a test database. Of relations it says nothing, since our models have none.
"""

from typing import Any

from django.db import models

from reproq_django import conf


class ReproqRouter:
    """For `DATABASE_ROUTERS`. Our models are on the aliases that a Reproq backend of `TASKS` names, and on no other."""

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        """An instance's own database, else that of the first Reproq backend; another one takes `.using(alias)`."""
        if model._meta.app_label != conf.APP:
            return None
        instance = hints.get("instance")
        known = None if instance is None else instance._state.db
        return known or conf.database_alias(conf.first_backend())

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Our tables: where a backend is. Other apps are for other routers to judge."""
        return db in conf.database_aliases() if app_label == conf.APP else None
