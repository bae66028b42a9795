"""What tasks, the programs that they start, and foreign programs see of the worker's environment."""

import os
import sys
from collections.abc import Callable, Mapping

import pytest

from reproq.child.forgetting import FORGET
from reproq.executors import Executor
from reproq.executors.command import CommandExecutor
from reproq.executors.environment import command_environment, forgotten, template_environment
from reproq.executors.fork import ForkExecutor
from reproq.executors.pool import PoolExecutor
from reproq.executors.spawn import SpawnExecutor
from tests.executors.conftest import environment
from tests.executors.driver import Driver
from tests.executors.test_determinism import value_of

SECRETS = {
    "DATABASE_URL": "postgresql://shop:canary@db/shop",
    "REPROQ_DSN": "postgresql://worker:canary@db/shop",
    "REPROQ_LISTEN_DSN": "postgresql://worker:canary@db/shop",
    "PGPASSWORD": "canary",
    "PGHOST": "canary.example",
}
OTHERS = {"STRIPE_KEY": "canary, which is the project's own", "PGSERVICEFILE": "/etc/canary.conf"}


def of(passed: tuple[str, ...] = ()) -> dict[str, str]:
    return template_environment(environment(**SECRETS, **OTHERS), passed)


MAKERS: Mapping[str, Callable[[dict[str, str]], Executor]] = {
    "fork": lambda given: ForkExecutor("tasks:setup", environment=given),
    "pool": lambda given: PoolExecutor("tasks:setup", environment=given, concurrency=1),
    "spawn": lambda given: SpawnExecutor("cold", environment=given),
}


def seen_by(maker: Callable[[dict[str, str]], Executor], given: dict[str, str]) -> dict[str, list[str]]:
    driver = Driver(maker(given))
    try:
        driver.wait_ready()
        found = value_of(driver.run("where_the_canary_is").outcome)
    finally:
        driver.close()
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", MAKERS)
def test_settings_may_read_addresses_and_no_task_or_program_of_it_sees_them_afterwards(name: str) -> None:
    found = seen_by(MAKERS[name], of())
    assert found["import"] == sorted(SECRETS | OTHERS)
    assert found["run"] == found["kernel"] == found["program"] == sorted(OTHERS)


def test_a_name_that_is_to_be_passed_stays() -> None:
    found = seen_by(MAKERS["fork"], of(("DATABASE_URL",)))
    assert found["run"] == found["kernel"] == found["program"] == sorted({*OTHERS, "DATABASE_URL"})


def test_the_list_holds_our_secrets_and_all_of_libpq_but_its_paths() -> None:
    base = SECRETS | OTHERS | {"PGSSLMODE": "require", "HOME": "/", "PG": "x", "REPROQ_LEASE": "30s"}
    assert forgotten(base) == sorted({*SECRETS, "PGSSLMODE", "PG"})
    assert FORGET not in template_environment({"HOME": "/"})


def test_nobody_outside_can_say_what_is_forgotten() -> None:
    assert FORGET not in template_environment({FORGET: "HOME,PATH"})


def test_a_foreign_program_sees_an_allow_list_and_what_is_passed_by_name() -> None:
    base = SECRETS | OTHERS | {"PATH": "/bin", "LC_TIME": "C", "HOME": "/home/w", "PYTHONPATH": "/x", "TOKEN": "canary"}
    assert command_environment(base).keys() == {"PATH", "LC_TIME", "HOME"}
    assert command_environment(base, ("TOKEN", "NOT_SET")).keys() == {"PATH", "LC_TIME", "HOME", "TOKEN"}


def test_a_foreign_program_is_started_with_no_other_variable() -> None:
    show = (sys.executable, "-c", "import json, os; print(json.dumps(sorted(os.environ)))")
    driver = Driver(CommandExecutor([("tasks.*", show)], environment=of() | {"TOKEN": "t"}, passed=("TOKEN",)))
    try:
        found = value_of(driver.run("echo").outcome)
    finally:
        driver.close()
    assert isinstance(found, list)
    assert {name for name in found if not name.startswith(("LC_", "REPROQ_"))} <= {
        *("PATH", "LD_LIBRARY_PATH", "HOME", "LANG", "TZ", "TOKEN")
    }
    assert {name for name in found if name.startswith("REPROQ_")} <= {
        "REPROQ_RUN_ID",
        "REPROQ_STARTED_BY",
        "REPROQ_STARTED_AS",
    }
    assert "TOKEN" in found
    assert os.environ.keys() - set(found)
