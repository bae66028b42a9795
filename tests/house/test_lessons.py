"""Every lesson of software of this kind that wants a test of ours has one, marked with its slug."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
SLUGS = {
    "migrate-on-an-empty-database",
    "columns-without-database-defaults",
    "worker-started-with-the-wrong-interpreter",
    "password-in-ps",
    "dsn-built-without-escaping",
    "options-stuck-on-frozen-task",
    "children-that-survive-a-killed-worker",
    "print-or-c-level-output-that-corrupts-the-reply",
    "64-kib-pipe-deadlock",
    "libpq-connections-inherited-across-fork",
    "dashboard-that-counts-the-whole-table",
    "get-that-changes-state",
    "actions-without-permission-checks",
    "task-arguments-rendered-unescaped",
    "results-u0000",
    "results-nan",
    "results-lone-surrogates",
    "results-10-mib",
    "sigterm-on-deploy-kills-tasks-and-burns-attempts",
    "poison-task-runs-for-ever",
    "grandchildren-keep-the-pipe-open-and-pin-the-slot",
    "each-way-to-die-has-its-own-error",
    "connections-left-broken-after-a-database-restart",
    "memory-that-grows-in-debug",
    "idle-asked-before-the-commit",
    "notify-in-every-transaction",
    "scheduled-rows-at-the-head-of-the-index",
    "limit-in-a-subquery-claims-more",
    "two-schedulers-double-every-tick",
    "twice-or-never-at-a-change-of-the-clock",
    "missed-ticks-without-a-policy",
    "an-invalid-expression-that-fails-for-ever",
    "a-function-that-no-test-ever-called",
    "sync-switches-on-what-was-switched-off",
    "lost-commit-taken-for-failure-or-for-success",
    "listen-behind-a-transaction-pooler",
    "prepared-statements-behind-a-transaction-pooler",
}


def test_every_lesson_has_a_test_that_bears_its_slug() -> None:
    texts = [path.read_text("utf-8") for path in TESTS.rglob("test_*.py") if path != Path(__file__)]
    marked = {slug for text in texts for slug in re.findall(r'mark\.lesson\(\s*"([\w-]+)"', text)}
    assert SLUGS - marked == set()
