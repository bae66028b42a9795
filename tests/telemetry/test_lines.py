"""The two ways of writing a line, with and without a logger of the project's, show the same."""

import errno
import logging
import re
import sys

import pytest

from reproq.telemetry import lines
from reproq.telemetry.events import Event, Telemetry

EVENT = Event("run.succeeded", {"id": 7, "seconds": 0.25})
LINE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO    run\.succeeded id=7 seconds=0\.25\n"


@pytest.fixture
def bare_logger(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """A logger that nobody has configured, in the place of ours."""
    logger = logging.Logger("reproq")
    monkeypatch.setattr(lines, "logger", logger)
    return logger


def test_events_are_written_as_the_logger_writes(
    bare_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    write = lines.log_to_stderr()
    write(EVENT)
    write.flush()
    lines.log_event(EVENT)
    assert re.fullmatch(LINE * 2, capsys.readouterr().err)


def test_what_is_below_the_level_is_not_written(
    bare_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    write = lines.log_to_stderr()
    write(Event("run.claimed", {"id": 7}))
    write.flush()
    assert capsys.readouterr().err == ""
    assert "run.claimed" in lines.unheard()
    assert "run.succeeded" not in lines.unheard()


def test_a_logger_that_the_project_configured_is_the_one_that_writes(bare_logger: logging.Logger) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    bare_logger.addHandler(handler)
    lines.log_to_stderr()(EVENT)
    assert [record.getMessage() for record in records] == ["run.succeeded id=7 seconds=0.25"]


def test_a_line_is_written_at_once_where_nobody_has_promised_to_flush(
    bare_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    Telemetry([lines.log_to_stderr()]).emit("run.succeeded", id=7, seconds=0.25)
    assert re.fullmatch(LINE, capsys.readouterr().err)


class Stderr:
    """What a process writes its lines to; it takes none while there is an error."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.taken: list[str] = []

    def write(self, text: str) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append(text)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), BrokenPipeError(errno.EPIPE, "…")])
def test_lines_that_nobody_can_take_are_lost_and_nothing_fails(
    bare_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    """A worker would end, and its runs with it, because of a full disk that its log is written to."""
    stderr = Stderr()
    monkeypatch.setattr(sys, "stderr", stderr)
    telemetry = Telemetry([lines.log_to_stderr()])
    for run_id, stderr.error in ((6, None), (7, error), (8, None)):
        telemetry.emit("run.succeeded", id=run_id, seconds=0.25)
    assert [text.split()[-2] for text in stderr.taken] == ["id=6", "id=8"]


def test_lines_are_written_when_whoever_emits_is_about_to_wait_or_a_thousand_are_kept(
    bare_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry = Telemetry([lines.log_to_stderr()], gathers=True)
    telemetry.emit("run.succeeded", id=7, seconds=0.25)
    assert capsys.readouterr().err == ""
    telemetry.flush()
    assert re.fullmatch(LINE, capsys.readouterr().err)
    for _ in range(lines.MOST_KEPT):
        telemetry.emit("run.succeeded", id=7, seconds=0.25)
    assert capsys.readouterr().err.count("\n") == lines.MOST_KEPT
