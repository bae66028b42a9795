"""Foreign programs: which one is chosen, what its end means, and every way in which it can be wrong."""

import errno
import json
import os
import shutil
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reproq.child.kernel import children_of
from reproq.config import Source, load
from reproq.executors import Ended
from reproq.executors.command import argv_for, missing_programs
from reproq.executors.environment import command_environment
from reproq.lifecycle import Failure, Kind, Outcome, Release, Success
from tests.docs.pages import blocks_of
from tests.executors.conftest import SOURCES, make_command
from tests.executors.driver import Driver, is_gone, open_descriptors, payload

EXAMPLES = Path(__file__).parents[2] / "examples"
Command = Callable[..., Driver]
Run = Callable[..., Ended]


@pytest.fixture
def command() -> Iterator[Command]:
    """Makes drivers of executors that start one argv, and closes them."""
    drivers: list[Driver] = []

    def make(*argv: str, **limits: Any) -> Driver:
        drivers.append(Driver(make_command([("tasks.*", argv)], **limits)))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.close()


@pytest.fixture
def run(command: Command) -> Run:
    """Runs one payload by an argv."""

    def run_by(*argv: str, args_json: str = "[]", limits: dict[str, Any] | None = None, **changes: Any) -> Ended:
        return command(*argv, **(limits or {})).run("any", args_json, **changes)

    return run_by


@pytest.fixture
def sh(run: Run) -> Run:
    """Runs one payload by a line of shell."""
    return lambda script, **more: run("/bin/sh", "-c", script, **more)


def failure_of(outcome: Outcome) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


def test_the_last_line_that_is_json_is_the_return_value(sh: Run) -> None:
    ended = sh("""echo '{"first":1}'; echo '{"second":2}'; echo done""")
    assert ended.outcome == Success('{"second":2}')
    assert ended.output.last_text == '{"first":1}\n{"second":2}\ndone\n'


@pytest.mark.parametrize(
    "script",
    ["true", "echo done", "echo '{\"half\":'", """echo '{"a":1} {"b":2}'""", "printf '\\377\\376\"x\"'", "echo NaN"],
    ids=["nothing", "text", "half a JSON", "two JSON values on one line", "invalid UTF-8", "a constant"],
)
def test_without_a_json_line_the_value_is_null_and_the_text_is_the_log(sh: Run, script: str) -> None:
    ended = sh(f"{script}; echo warning >&2")
    assert ended.outcome == Success("null")
    assert b"warning" in ended.output.head + ended.output.tail


@pytest.mark.parametrize("value", ["3", "null", "false", '"text"', "[1, 2.50]", '{"b":1,"a":-0.0}'])
def test_every_json_value_is_kept_as_it_was_printed(sh: Run, value: str) -> None:
    assert sh(f"printf '%s' '{value}'").outcome == Success(value)


def test_text_beyond_ascii_is_stored_as_escapes(sh: Run) -> None:
    assert sh("printf '\"\\303\\251\"'").outcome == Success('"\\u00e9"')


def test_the_payload_is_on_stdin_in_full(run: Run) -> None:
    ended = run("/bin/cat", args_json=json.dumps(["x" * 500_000]))
    assert isinstance(ended.outcome, Success)
    message = json.loads(ended.outcome.return_json)
    assert (message["v"], message["args"], message["attempt"]) == (1, ["x" * 500_000], 1)


def test_a_program_that_does_not_read_its_payload_is_not_blocked(sh: Run) -> None:
    assert sh("echo 1", args_json=json.dumps(["x" * 500_000])).outcome == Success("1")


def test_the_payload_in_the_command_line_leaves_stdin_empty(run: Run) -> None:
    ended = run("/bin/sh", "-c", 'wc -c; printf "%s\\n" "$1"', "sh", "{payload}", args_json='["it\'s $HOME"]')
    assert isinstance(ended.outcome, Success)
    assert json.loads(ended.outcome.return_json)["args"] == ["it's $HOME"]
    assert ended.output.head.startswith(b"0\n")


def test_a_payload_that_no_command_line_holds_is_a_bad_spec_before_the_start(run: Run, tmp_path: Path) -> None:
    ended = run("/bin/touch", str(tmp_path / "ran"), "{payload}", args_json=json.dumps(["x" * 131_072]))
    failure = failure_of(ended.outcome)
    assert (failure.kind, ended.started_s) == (Kind.BAD_SPEC, None)
    assert "over the system's bound of 131,072" in failure.message
    assert "read the payload from stdin" in failure.message
    assert not (tmp_path / "ran").exists()


def test_the_largest_argument_is_taken_and_one_byte_more_is_not(run: Run) -> None:
    size = len(payload("tasks.any", '[""]').encode())
    fits = json.dumps(["x" * (131_071 - size)])
    assert run("/bin/echo", "{payload}", args_json=fits).outcome != Success("null")
    assert failure_of(run("/bin/true", "{payload}", args_json=fits.replace("x", "xx", 1)).outcome).kind == Kind.BAD_SPEC


def test_a_spec_that_was_tampered_with_never_reaches_a_program(run: Run, tmp_path: Path) -> None:
    ended = run("/bin/touch", str(tmp_path / "ran"), spec_hash="0" * 64)
    assert failure_of(ended.outcome).kind == Kind.SPEC_TAMPERED
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("exit 3", "exited with code 3; it printed nothing"),
        ("echo started; echo 'no space' >&2; exit 3", "exited with code 3; the last it printed:\nno space"),
        ("echo only this; exit 3", "exited with code 3; the last it printed:\nonly this"),
        ("kill -SEGV $$", "killed by SIGSEGV (Segmentation fault); it printed nothing"),
        ("kill -KILL $$", "killed by SIGKILL (Killed) (out of memory? see dmesg); it printed nothing"),
        ("printf '\\377half' >&2; exit 1", "the last it printed:\n\\xffhalf"),
        ("echo '{\"message\":' >&2; exit 1", 'the last it printed:\n{"message":'),
        ("echo '{\"other\":1}' >&2; exit 1", 'the last it printed:\n{"other":1}'),
    ],
)
def test_any_other_end_is_a_failure_with_code_or_signal_and_the_tail_of_stderr(sh: Run, script: str, text: str) -> None:
    failure = failure_of(sh(script).outcome)
    assert (failure.kind, failure.exception_class) == (Kind.CHILD_DIED, "reproq.errors.ChildDied")
    assert failure.message.endswith(text)


@pytest.mark.parametrize(
    ("error", "kind", "name", "message"),
    [
        ({"exception_class": "shop.NoStock", "message": "none left"}, Kind.EXCEPTION, "shop.NoStock", "none left"),
        ({"type": "TypeError", "message": "x is undefined"}, Kind.EXCEPTION, "TypeError", "x is undefined"),
        ({"message": "only words"}, Kind.EXCEPTION, "reproq.errors.ChildDied", "only words"),
        ({"type": "Odd", "message": None}, Kind.EXCEPTION, "Odd", "the child exited with code 1"),
        ({"kind": "bad_return", "message": "too large"}, Kind.BAD_RETURN, "reproq.errors.ChildDied", "too large"),
        ({"kind": "cancelled", "message": "no right"}, Kind.EXCEPTION, "reproq.errors.ChildDied", "no right"),
    ],
)
def test_an_error_object_on_stderr_tells_the_failure(
    sh: Run, error: dict[str, Any], kind: Kind, name: str, message: str
) -> None:
    failure = failure_of(sh(f"echo '{json.dumps(error)}' >&2; echo bye >&2; exit 1").outcome)
    assert (failure.kind, failure.exception_class, failure.message) == (kind, name, message)


def test_an_error_object_of_a_program_that_succeeded_is_only_log(sh: Run) -> None:
    assert sh("""echo '{"message":"a warning"}' >&2; echo 1""").outcome == Success("1")


@pytest.mark.slow
def test_300_megabytes_of_output_are_flat_and_the_value_after_them_is_found(sh: Run) -> None:
    ended = sh("head -c 300000000 /dev/zero; echo; echo '{\"done\":true}'")
    assert ended.outcome == Success('{"done":true}')
    assert ended.output.bytes_total > 300_000_000
    assert len(ended.output.head) + len(ended.output.tail) == 65536


def test_a_value_over_the_bound_is_a_bad_return(sh: Run) -> None:
    for size in (1001, 200_000):
        failure = failure_of(sh(f"printf '\"%{size}s\"' x", limits={"max_return_bytes": 1000}).outcome)
        assert failure.kind == Kind.BAD_RETURN
        assert "1,000" in failure.message
        assert "raise max_return_bytes" in failure.message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('{"a":NaN}', "NaN, which is not JSON"),
        ("[" * 600 + "]" * 600, "nested 600 deep"),
        ("9" * 5000, "cannot be read"),
    ],
)
def test_a_value_that_cannot_be_stored_is_a_bad_return(sh: Run, value: str, text: str) -> None:
    failure = failure_of(sh(f"echo '{value}'").outcome)
    assert failure.kind == Kind.BAD_RETURN
    assert text in failure.message


def test_only_the_last_thousand_lines_are_searched(sh: Run) -> None:
    assert sh("echo 1; seq -f 'line %g' 990").outcome == Success("1")
    assert sh("echo 1; seq -f 'line %g' 1100").outcome == Success("null")


def test_an_unmapped_task_is_unknown_and_says_what_to_add(run: Run) -> None:
    driver = Driver(make_command([("queue:media", ("/bin/true",))]))
    failure = failure_of(driver.run("greet").outcome)
    driver.close()
    assert (failure.kind, failure.exception_class) == (Kind.UNKNOWN_TASK, "reproq.errors.UnknownTask")
    assert "no command is mapped to the task 'tasks.greet' or its queue 'default'" in failure.message
    assert '"tasks.greet" = ["/the/program"]' in failure.message


def test_a_program_that_cannot_be_started_is_told_with_its_remedy(run: Run, tmp_path: Path) -> None:
    plain, odd, wrong = tmp_path / "plain", tmp_path / "odd", tmp_path / "wrong"
    for file, text in ((plain, "#!/bin/sh\n"), (odd, "no interpreter named\n"), (wrong, "#!/no/such/interpreter\n")):
        file.write_text(text)
        file.chmod(0o644 if file == plain else 0o755)
    for program, text in (
        (str(tmp_path / "absent"), "does not exist"),
        ("a-program-that-nobody-has-written", "does not exist"),
        (str(plain / "below"), "a part of its path is no folder"),
        (str(plain), "is not executable by this user; chmod +x it"),
        (str(odd), "begin a script with a line such as #!/bin/sh"),
        (str(wrong), "the interpreter that its first line names does not"),
    ):
        ended = run(program)
        failure = failure_of(ended.outcome)
        assert (failure.kind, ended.started_s) == (Kind.CHILD_DIED, None)
        assert text in failure.message
        assert repr(program) in failure.message


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_program_that_may_not_be_killed_ends_by_itself_and_no_exception_ends_the_worker(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that runs with another user's rights: its group is killed when it has ended, and when the worker ends."""
    monkeypatch.setattr("signal.pidfd_send_signal", is_anothers)
    monkeypatch.setattr("os.killpg", is_anothers)
    monkeypatch.setattr("reproq.executors.launched.CLOSE_SECONDS", 0.1)
    assert command("/bin/echo", "1").run("greet").outcome == Success("1")
    driver = command("/bin/sleep", "600")
    key = driver.submit(payload("tasks.greet"))
    driver.executor.close()
    assert driver.wait(key)[0].outcome == Release("the executor was closed", started=True)


def is_anothers(*arguments: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_a_program_that_may_not_be_bounded_is_killed_and_told_with_its_remedy(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that runs with another user's rights: `sudo`, say. Without its bound it must not run on unseen."""
    driver = command("/bin/sleep", "600", max_memory_bytes=1 << 30)
    before = children_of(os.getpid()), open_descriptors(driver)
    monkeypatch.setattr("reproq.child.memory.bound", is_anothers)
    failure = failure_of(driver.run("greet").outcome)
    assert failure.message.startswith("the program '/bin/sleep' runs with the rights of another user")
    assert (children_of(os.getpid()), open_descriptors(driver)) == before


def test_programs_that_cannot_run_are_all_named_at_the_start(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    commands = [("a.*", ("/no/such/program",)), ("b.*", ("sh",)), ("queue:c", (str(plain), "x"))]
    absent, unusable = missing_programs(commands, shutil.which)
    assert absent.startswith("commands has for a.* the program '/no/such/program', which does not exist; install it")
    assert unusable.startswith(f"commands has for queue:c the program '{plain}', which is not executable")


def test_the_first_pattern_that_fits_is_taken() -> None:
    commands = [("shop.*", ("a",)), ("queue:media", ("b",)), ("*", ("c",))]
    assert argv_for(commands, "shop.greet", "media") == ("a",)
    assert argv_for(commands, "other.greet", "media") == ("b",)
    assert argv_for(commands, "queue:media", "x") == ("c",)
    assert argv_for(commands[:2], "other.greet", "x") is None
    assert argv_for([("Shop.*", ("a",))], "shop.greet", "x") is None


def test_a_program_sees_a_short_environment_and_its_runs_id(run: Run) -> None:
    secret = {"DATABASE_URL": "postgresql:///x", "PATH": "/bin", "LC_ALL": "C", "TZ": "UTC", "SECRET_KEY": "s"}
    assert command_environment(secret) == {"PATH": "/bin", "LC_ALL": "C", "TZ": "UTC"}
    ended = run("/usr/bin/env", run_id=41)
    names = {line.partition("=")[0] for line in ended.output.last_text.splitlines()}
    assert names - {"LD_LIBRARY_PATH"} == {"PATH", "LC_ALL", "REPROQ_RUN_ID", "REPROQ_STARTED_AS", "REPROQ_STARTED_BY"}
    assert "REPROQ_RUN_ID=41\n" in ended.output.last_text


def test_of_a_program_that_runs_too_long_nothing_is_left(command: Command, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    driver = command("/bin/sh", "-c", f"sleep 600 & echo $! > {pid}.new; mv {pid}.new {pid}; wait")
    key = driver.submit(payload("tasks.any", timeout_seconds=0.5))
    while not pid.exists():
        time.sleep(0.01)  # without a step, which might find that the half second is over
    assert failure_of(driver.wait(key)[0].outcome).kind == Kind.TIMEOUT
    # The kill was sent before the end was told; when it strikes is the kernel's affair, and the dead are reaped later.
    driver.until(lambda: is_gone(int(pid.read_text())))


# -- the examples, each by its real interpreter -----------------------------------------------------------------------


def test_the_table_in_the_docs_maps_the_examples() -> None:
    (table,) = (block.text for block in blocks_of("how-to/executors.md") if block.language == "toml")
    config = load(Source("docs", tomllib.loads(table)))
    assert config.executor == "command"
    for task_path, queue in (("media.resize", "default"), ("any.task", "node"), ("legacy.any", "default")):
        argv = argv_for(config.commands, task_path, queue)
        assert argv is not None
        assert any((EXAMPLES.parent / part).is_file() for part in argv)


def test_the_shell_example_returns_and_fails(run: Run) -> None:
    program = str(EXAMPLES / "resize.sh")
    assert run(program, args_json="[640]").outcome == Success('{"width":640,"half":320}')
    failure = failure_of(run(program, args_json='["wide"]').outcome)
    assert (failure.exception_class, failure.message) == ("BadWidth", "args must hold one whole number")


@pytest.mark.skipif(shutil.which("node") is None, reason="not on this platform: no node")
def test_the_node_example_returns_and_fails(run: Run) -> None:
    program = ("node", str(EXAMPLES / "slug.mjs"))
    assert run(*program, args_json='["Crème brûlée 2"]').outcome == Success(json.dumps({"slug": "crème-brûlée-2"}, separators=(",", ":")))  # fmt: skip # noqa: E501
    failure = failure_of(run(*program, args_json="[5]").outcome)
    assert (failure.exception_class, "toLowerCase" in failure.message) == ("TypeError", True)
    assert "slug.mjs" in failure.traceback


def test_the_python_example_needs_no_django(run: Run) -> None:
    program = ("/usr/bin/env", f"PYTHONPATH={SOURCES}", sys.executable, str(EXAMPLES / "total.py"))
    assert run(*program, args_json="[1, 2.5]").outcome == Success('{"total": 3.5}')
    failure = failure_of(run(*program, args_json='["x"]').outcome)
    assert (failure.kind, failure.exception_class) == (Kind.EXCEPTION, "builtins.TypeError")


def test_a_program_with_the_source_documents_interface_works_unchanged(run: Run) -> None:
    program = (sys.executable, str(EXAMPLES / "example_executor.py"), "--payload", "{payload}")
    assert run(*program).outcome == Success('{"status": "ok", "data": "processed tasks.any"}')
