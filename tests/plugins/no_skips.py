"""With CI=true a skipped test is a failure: a part that is missing there is a fault of the machine, not a choice.

A skip that no installation could mend says so: its reason begins with "not on this platform:". xfail is left alone.
"""

import os
from collections.abc import Generator

import pytest

PLATFORM = "not on this platform:"


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The text given to skip(), skipif() or importorskip()."""
    longrepr = report.longrepr
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that shows its reason, where CI=true."""
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return
    if not (reason := reason_of(report)).startswith(PLATFORM):
        report.outcome = "failed"
        report.longrepr = (
            f"skipped, and with CI=true a skip is a failure: {reason}\n"
            f'install what is missing; where that is impossible the reason begins with "{PLATFORM}"'
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report
