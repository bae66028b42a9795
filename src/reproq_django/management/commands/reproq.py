"""`manage.py reproq …`: the same commands as `reproq …`, with the settings that manage.py chose."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from reproq.cli import run


class Command(BaseCommand):
    help = "Everything that the program `reproq` does: worker, status, runs, replay, …"
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's spelling

    def run_from_argv(self, argv: list[str]) -> None:
        """Click parses the arguments, so that both doors have the same flags and helps."""
        sys.exit(run(argv[2:], prog_name="manage.py reproq"))

    def handle(self, *args: Any, **options: Any) -> None:
        run([str(arg) for arg in args], prog_name="manage.py reproq")
