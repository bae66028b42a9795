"""`reproq prune` and what `reproq status` says of retention, called in this process."""

import json
import re
from collections.abc import Callable

import psycopg
import pytest

from reproq.cli.status import covered
from reproq.retention import retention, rules
from tests.acceptance.workers import statuses
from tests.cli.conftest import Result
from tests.store.rows import ended_ago


def test_prune_deletes_by_the_retention_or_by_an_age_of_its_own(
    pg: psycopg.Connection, reproq: Callable[..., Result]
) -> None:
    ended_ago(pg, 100, runs=3)
    ended_ago(pg, 100, "FAILED", runs=2)
    ended_ago(pg, 100, "CANCELLED", "mail")
    ended_ago(pg, 10, runs=4)
    seen = reproq("prune", "--dry-run").stdout
    assert re.search(r"3  SUCCESSFUL  queue default  older than 90d: ended \d{4}-", seen)
    assert "6  would be deleted; nothing was" in seen
    assert statuses(pg) == {"SUCCESSFUL": 7, "FAILED": 2, "CANCELLED": 1}
    assert reproq("prune", "--status", "failed").stdout == "2 runs deleted\n"
    assert reproq("prune", "--batch", "2", "--queue", "mail").stdout == "1 runs deleted\n"
    assert json.loads(reproq("prune", "--json").stdout) == {"deleted": 3}
    assert reproq("prune", "--retention", "off", "--older-than", "9d").stdout == "4 runs deleted\n"
    assert statuses(pg) == {}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--older-than", "0s"], 2, "--older-than = '0s' is outside 1s to 36500d; give an age such as 30d"),
        (["--older-than", "-1d"], 2, "--older-than = '-1d' is outside 1s to 36500d"),
        (["--older-than", "36501d"], 2, "--older-than = '36501d' is outside 1s to 36500d"),
        (["--older-than", "30"], 2, "--older-than = '30' has no unit; write 30d"),
        (["--older-than", "1y"], 2, "--older-than = '1y' is no age such as 12h or 30d; write a year as 365d"),
        (["--status", "READY"], 2, "--status = 'READY' is no status of finished runs, and no others are deleted; give"),
        (["--batch", "0"], 2, "0 is not in the range 1<=x<=10000"),
        (["--queue", "maill"], 2, "--queue = 'maill' is no queue that any run is in; correct the name"),
        (["--queue", "a,b"], 2, "--queue = 'a,b' must be printable, without commas"),
        (
            ["--retention", "off"],
            2,
            "retention = off keeps every run; to delete some all the same, say --older-than 30d",
        ),
        (["--retention", "0"], 2, "--retention: retention = '0' has '0', which is outside 1s to 36500d"),
        (["--retention", "30"], 2, "--retention: retention = '30' has '30', which has no unit; write 30d"),
    ],
)
def test_what_cannot_be_pruned_is_refused_with_the_remedy(
    reproq: Callable[..., Result], arguments: list[str], code: int, says: str
) -> None:
    refused = reproq("prune", *arguments)
    assert (refused.returncode, refused.stdout) == (code, "")
    assert says in " ".join(refused.stderr.split())


def test_status_says_what_will_be_deleted_when(
    pg: psycopg.Connection, reproq: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_ago(pg, 31, runs=5)
    ended_ago(pg, 29)
    monkeypatch.setenv("REPROQ_RETENTION", '{"successful": "30d", "queues": {"audit": "off"}}')
    lines = reproq("status").stdout.splitlines()
    assert any(
        re.fullmatch(
            r"retention  deletes after 30d: SUCCESSFUL runs of all queues but audit \(5 now, the next at .+\)", line
        )
        for line in lines
    ), lines
    assert "retention  deletes after 90d: FAILED and CANCELLED runs of all queues but audit (none now)" in lines
    (first, _) = json.loads(reproq("status", "--json").stdout)["retention"]
    assert (first["after_seconds"], first["over"], first["is_more"]) == (30 * 86_400, 5, False)
    monkeypatch.setenv("REPROQ_RETENTION", "off")
    assert "retention  off; no run is ever deleted" in reproq("status").stdout


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("30d", ["all finished runs"]),
        (
            {"queues": {"mail": {"successful": "2d"}, "audit": "off"}},
            [
                "SUCCESSFUL runs of mail",
                "SUCCESSFUL runs of all queues but mail and audit",
                "FAILED and CANCELLED runs of all queues but audit",
            ],
        ),
        (
            {"successful": "7d", "failed": "off", "queues": {"a": "7d", "b": "7d", "c": "7d"}},
            [
                "SUCCESSFUL runs of all queues but a, b and c; all finished runs of a, b and c",
            ],
        ),
        ({"successful": "off", "failed": "off", "queues": {"a": {"failed": "1d"}}}, ["FAILED and CANCELLED runs of a"]),
    ],
)
def test_what_a_rule_deletes_is_told_in_words_without_repeating_itself(policy: object, told: list[str]) -> None:
    assert [covered(rule) for rule in rules(retention(policy))] == told
