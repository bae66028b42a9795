"""The command that `reproq status` tells people to start a worker by."""

import pytest

from reproq.cli.worker_command import start_command
from reproq.config import Config

MANY = [f"q{number}" for number in range(11)]


@pytest.mark.parametrize(
    ("allowed", "configured", "unserved", "command"),
    [
        ((), "default", [], "reproq worker"),
        (("default", "mail"), "default", ["default"], "reproq worker"),
        (("default", "mail"), "default", ["default", "mail"], "reproq worker --queues default,mail"),
        (("mail", "audit"), "default", [], "reproq worker --queues mail,audit"),
        (("mail", "audit"), "default", ["audit"], "reproq worker --queues audit"),
        (("mail",), "mail", ["mail"], "reproq worker"),
        (("mail",), "default", ["from sql", "mail"], "reproq worker --queues 'from sql,mail' --any-queue"),
        ((), "*", ["mail"], "reproq worker"),
        ((), "default", MANY, "reproq worker --queues '*'"),
        (("mail",), "default", MANY, "reproq worker --queues '*'"),
    ],
)
def test_it_names_queues_where_those_that_are_configured_would_not_do(
    allowed: tuple[str, ...], configured: str, unserved: list[str], command: str
) -> None:
    assert start_command(Config(queues=(configured,)), allowed, unserved) == command


def test_it_names_the_backend_that_is_not_the_default() -> None:
    assert start_command(Config(backend="reports"), (), ["mail"]) == "reproq worker --backend reports --queues mail"
