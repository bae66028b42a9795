"""`reproq schedules …`: look.py lists them, edit.py makes and changes them, fire.py fires and skips ticks, code.py
stores what the code declares. project.py is the way in.
"""

import click

from reproq_django.cli.schedules.code import check_command, sync_command
from reproq_django.cli.schedules.edit import add_command, edit_command, pause_command, remove_command, resume_command
from reproq_django.cli.schedules.fire import run_command, skip_command
from reproq_django.cli.schedules.look import list_command, next_command, show_command


@click.group()
def schedules() -> None:
    """Look at schedules, make, change, fire and sync them."""


for command in (
    *(list_command, show_command, next_command, add_command, edit_command, pause_command, resume_command),
    *(run_command, skip_command, remove_command, sync_command, check_command),
):
    schedules.add_command(command)
