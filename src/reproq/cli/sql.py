"""`reproq sql`: SQL for others to run; nothing here connects to a database."""

import click

from reproq.store.grants import Role, grants


@click.group("sql")
def sql_group() -> None:
    """Print SQL for an owner of the database to read and run."""


@sql_group.command("grants")
@click.option("--producer", metavar="ROLE", help="Enqueues and reads results.")
@click.option("--worker", metavar="ROLE", help="What `reproq worker` connects as.")
@click.option("--operator", metavar="ROLE", help="Looks, replays, cancels, prunes, edits periodic tasks.")
@click.option("--schema", default="public", show_default=True, help="Where Reproq's tables are.")
def grants_command(producer: str | None, worker: str | None, operator: str | None, schema: str) -> None:
    """The least that each role needs, as GRANTs; run again, they change nothing. The roles must exist.

    reproq sql grants --worker reproq_worker | psql -v ON_ERROR_STOP=1 "$OWNER_URL"
    """
    given = {Role.PRODUCER: producer, Role.WORKER: worker, Role.OPERATOR: operator}
    roles = {kind: role for kind, role in given.items() if role is not None}
    if not roles:
        raise click.UsageError("name at least one role: --producer ROLE, --worker ROLE or --operator ROLE")
    click.echo(grants(roles, schema))
