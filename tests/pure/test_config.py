"""The one table of knobs: parsing, bounds, precedence, and errors that name everything at once."""

import json
from dataclasses import fields
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproq.config import KNOBS, Config, Source, conflicts, from_environment, load
from reproq.errors import ConfigurationError
from reproq.values import duration, names, size, whole


def flags(**values: object) -> Source:
    return Source("flags", values)


def problems(*sources: Source) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(*sources)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("250ms", 0.25),
        ("1s", 1),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86_400),
        ("1.5 h", 5400),
        ("30", 30),
        (" 7s ", 7),
        (0.5, 0.5),
        (3, 3),
        (timedelta(minutes=2), 120),
    ],
)
def test_durations_are_read_in_every_documented_form(given: object, seconds: float) -> None:
    assert duration(given) == seconds


@pytest.mark.parametrize("given", ["", "s", "-1s", "1 fortnight", "1e3", "nan", True, None, [], "1s1s"])
def test_what_is_no_duration_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration(given)


@pytest.mark.parametrize("given", ["", "--5", "5.0", 5.0, "five", "\u00b2", "1_000", True, None, "9" * 5000])
def test_what_is_no_whole_number_is_refused_in_our_words(given: object) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        whole(given)


@pytest.mark.parametrize(("given", "number"), [("5", 5), (" -5 ", -5), (12, 12), ("+3", 3)])
def test_whole_numbers_are_read(given: object, number: int) -> None:
    assert whole(given) == number


@pytest.mark.parametrize(
    ("given", "number"),
    [
        (5, 5), ("5", 5), (" 1000000 ", 1_000_000), ("7B", 7), ("10MB", 10_000_000), ("64 MiB", 64 << 20),
        ("1.5GiB", 3 << 29), ("2k", 2000), ("2Ki", 2048), ("1tb", 10**12), ("-1kB", -1000),
    ],
)  # fmt: skip
def test_sizes_are_read_in_every_documented_form(given: object, number: int) -> None:
    assert size(given) == number


@pytest.mark.parametrize("given", ["", "MB", "5i", "5iB", "5PB", "1e6", "5.MB", 5.0, True, None, "9" * 5000])
def test_what_is_no_size_is_refused_with_the_unit(given: object) -> None:
    with pytest.raises(ValueError, match="is not a size in bytes such as 1000000, 10MB or 64MiB"):
        size(given)


def test_every_setting_in_bytes_takes_sizes_and_says_so() -> None:
    in_bytes = [name for name, knob in KNOBS.items() if knob.unit == "bytes"]
    assert in_bytes == ["max_rss", "max_memory", "max_payload_bytes", "max_return_bytes", "output_bytes"]
    assert {KNOBS[name].parse("64KiB") for name in in_bytes} == {65536}
    assert all("In bytes, or as 8MiB." in KNOBS[name].help for name in in_bytes)


def test_names_come_from_text_or_list_once_each_in_order() -> None:
    assert names("b, a,b") == names(["b", " a", "b"]) == ("b", "a")


@pytest.mark.parametrize("given", ["", "a,,b", [], None, 5, [5], {"a"}])
def test_what_is_no_list_of_names_is_refused(given: object) -> None:
    if given == []:
        assert names(given) == ()
    else:
        with pytest.raises(ValueError, match="is not a list of names"):
            names(given)


def test_the_defaults_agree_with_each_other_and_with_their_bounds() -> None:
    assert load() == Config()
    everything = {name: getattr(Config(), name) for name in KNOBS}
    assert load(Source("themselves", everything)) == Config()


def test_every_field_is_a_knob_with_a_help_text_and_a_name_of_ours_first() -> None:
    assert list(KNOBS) == [field.name for field in fields(Config)]
    for name, knob in KNOBS.items():
        assert knob.help.endswith(".")
        assert knob.environment[0] == f"REPROQ_{name.upper()}"


def test_a_later_source_wins_over_an_earlier_one() -> None:
    assert load(Source("file", {"concurrency": 2, "timeout": "1m"}), flags(concurrency="3")).concurrency == 3
    assert load(Source("file", {"concurrency": 2, "timeout": "1m"}), flags(concurrency="3")).timeout == 60


def test_our_environment_name_wins_over_the_source_documents_and_an_empty_one_is_unset() -> None:
    environ = {"REPROQ_DSN": "", "DATABASE_URL": "postgresql:///a", "REPROQ_QUEUES": "mail", "QUEUE_NAME": "old"}
    assert from_environment(environ).values == {"dsn": "postgresql:///a", "queues": "mail"}


def test_every_problem_of_every_source_stands_in_one_error() -> None:
    assert problems(
        Source("reproq.toml", {"lease": "soon", "concurency": 2}), flags(max_attempts=0, executor="threads")
    ) == [
        "reproq.toml: lease = 'soon' is not a duration such as 250ms, 1s, 5m or 2h",
        "reproq.toml: there is no setting concurency; did you mean concurrency?",
        "flags: max_attempts = 0 is outside 1 to 1000",
        "flags: executor = 'threads' is none of fork, pool, spawn, command, mock",
    ]


def test_a_problem_names_the_variable_or_the_key_that_it_stands_in() -> None:
    environ = from_environment({"EXEC_MODE": "threads", "REPROQ_LEASE": "soon"})
    django = Source("OPTIONS", {"max_attempts": 0}, {"max_attempts": "OPTIONS['MAX_ATTEMPTS']"})
    assert problems(django, environ) == [
        "OPTIONS['MAX_ATTEMPTS']: max_attempts = 0 is outside 1 to 1000",
        "the environment variable EXEC_MODE: executor = 'threads' is none of fork, pool, spawn, command, mock",
        "the environment variable REPROQ_LEASE: lease = 'soon' is not a duration such as 250ms, 1s, 5m or 2h",
    ]
    (problem,) = problems(from_environment({"REPROQ_HEARTBEAT": "20s"}))
    assert problem.endswith("(lease: default, heartbeat: the environment variable REPROQ_HEARTBEAT)")


@pytest.mark.parametrize(
    ("given", "name"), [("shell", "spawn"), ("SHELL", "spawn"), (" Spawn ", "spawn"), ("MOCK", "mock")]
)
def test_an_executor_is_named_in_any_case_and_shell_means_spawn(given: str, name: str) -> None:
    assert load(from_environment({"EXEC_MODE": given})).executor == name


def test_the_interpreter_of_spawn_goes_by_the_source_documents_name() -> None:
    assert load(from_environment({"PYTHON_PATH": "/opt/python3"})).python_path == "/opt/python3"


def test_a_secret_is_never_shown() -> None:
    assert problems(flags(dsn=b"postgresql://me:hunter2@host/db")) == ["flags: dsn = (secret) is not a text"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, "9" * 400])
def test_a_number_that_is_none_is_outside_every_bound(value: object) -> None:
    assert "timeout" in problems(flags(timeout=value))[0]


@pytest.mark.parametrize("value", ["0s", "31d", -1])
def test_a_timeout_out_of_bounds_is_refused_at_every_door(value: object) -> None:
    bounds = f"timeout = {value!r} is outside 0.001 to 2592000 s"
    assert problems(flags(timeout=value)) == [f"flags: {bounds}"]
    assert problems(Source("reproq.toml", {"timeout": value})) == [f"reproq.toml: {bounds}"]
    if isinstance(value, str):
        assert problems(from_environment({"REPROQ_TIMEOUT": value})) == [
            f"the environment variable REPROQ_TIMEOUT: {bounds}"
        ]


def test_a_lease_of_less_than_three_heartbeats_is_refused_with_the_remedy() -> None:
    assert problems(flags(lease="10s", heartbeat="5s")) == [
        "lease must be at least 3 x heartbeat, got lease=10s heartbeat=5s; raise lease or lower heartbeat "
        "(lease: flags, heartbeat: flags)"
    ]


@given(st.integers(1, 100))
def test_a_lease_of_exactly_three_heartbeats_is_enough_in_any_fraction(tenths: int) -> None:
    assert conflicts(Config(heartbeat=tenths / 10, lease=3 * tenths / 10)) == []


def test_a_star_among_names_and_an_exclusion_without_it_are_refused() -> None:
    assert len(problems(flags(queues="*,mail", exclude_queues="slow"))) == 2
    assert load(flags(queues="*", exclude_queues="slow")).exclude_queues == ("slow",)


def test_commands_come_from_a_table_or_its_json_with_lists_or_texts() -> None:
    expected = (("queue:media", ("/opt/run", "--fast")), ("shop.*", ("sh", "-c", "echo 1")))
    table = {"queue:media": ["/opt/run", "--fast"], "shop.*": "sh -c 'echo 1'"}
    assert load(flags(commands=table)).commands == expected
    assert load(from_environment({"REPROQ_COMMANDS": json.dumps(table)})).commands == expected
    assert load(flags(commands="")).commands == ()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"a.*": []}, "has for a.* a command without a program; begin it with one"),
        ({"a.*": ""}, "has for a.* a command without a program"),
        ({"a.*": ["", "x"]}, "has for a.* a command without a program"),
        ({"a.*": ["{payload}"]}, "has for a.* a command without a program"),
        ({"a.*": "sh 'x"}, "has for a.* a command that cannot be split: No closing quotation"),
        ({"a.*": 5}, "has for a.* a command that is neither a text nor a list of texts"),
        ({"a.*": ["sh", 5]}, "has for a.* a command that is neither a text nor a list of texts"),
        ({"a.*": ["sh", "\0"]}, "has for a.* a command that is neither a text nor a list of texts"),
        ({"": ["sh"]}, "has the pattern ''; give a task path such as shop.media.*, or queue:NAME"),
        ({"queue:": ["sh"]}, "has the pattern 'queue:'"),
        ("not json", "is not a table of patterns and commands such as"),
        ("[1]", "is not a table of patterns and commands such as"),
        (["sh"], "is not a table of patterns and commands such as"),
        (None, "is not a table of patterns and commands such as"),
    ],
)
def test_what_is_no_table_of_commands_is_refused(given: object, reason: str) -> None:
    (problem,) = problems(flags(commands=given))
    assert reason in problem
