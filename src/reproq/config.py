"""One table of knobs: every name, unit, bound, default, flag, environment name and help text of the configuration.

Pure: the front desks read flags, environment, files and Django's settings, and hand them to `load` as mappings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from difflib import get_close_matches
from typing import Any, Final

from reproq.errors import ConfigurationError
from reproq.retention import DEFAULT as DEFAULT_RETENTION
from reproq.retention import Retention, retention
from reproq.values import (
    EXECUTORS,
    LISTEN_MODES,
    POOLER_MODES,
    SWITCHES,
    commands,
    duration,
    executor_name,
    listen_mode,
    names,
    outside,
    pooler_mode,
    size,
    switch,
    text,
    whole,
)


@dataclass(frozen=True, slots=True)
class Knob:
    """One thing that can be configured. `bounds` are inclusive; `environment` holds our name first, then aliases;
    `choices` are all values there are, where those can be listed."""

    help: str
    parse: Callable[[object], Any]
    environment: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None
    unit: str = ""
    secret: bool = False
    choices: tuple[str, ...] = ()


def _knob(default: Any, explanation: str, parse: Callable[[object], Any], *environment: str, **more: Any) -> Any:
    knob = Knob(explanation, parse, environment, **more)
    return dataclass_field(default=default, repr=not knob.secret, metadata={"knob": knob})


def _size(explanation: str, variable: str, *, bounds: tuple[int, int], default: int = 0) -> Any:
    return _knob(default, f"{explanation} In bytes, or as 8MiB.", size, variable, bounds=bounds, unit="bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The effective configuration. Durations are seconds."""

    dsn: str = _knob("", "Address of the database.", text, "REPROQ_DSN", "DATABASE_URL", secret=True)
    backend: str = _knob("default", "The TASKS alias to serve.", text, "REPROQ_BACKEND")
    worker_id: str = _knob("", "Name of this worker; drawn when empty.", text, "REPROQ_WORKER_ID", "WORKER_ID")
    queues: tuple[str, ...] = _knob(
        ("default",), "Queues to serve, with commas between; * for all.", names, "REPROQ_QUEUES", "QUEUE_NAME"
    )
    exclude_queues: tuple[str, ...] = _knob((), "Queues that * leaves out.", names, "REPROQ_EXCLUDE_QUEUES")
    concurrency: int = _knob(
        0, "Runs at once; 0 takes the number of CPUs.", whole, "REPROQ_CONCURRENCY", bounds=(0, 10_000)
    )
    executor: str = _knob(
        "fork",
        f"How runs are executed: {', '.join(EXECUTORS)}.",
        executor_name,
        "REPROQ_EXECUTOR",
        "EXEC_MODE",
        choices=EXECUTORS,
    )
    max_runs_per_child: int = _knob(
        10_000,
        "Runs that a child of pool gets before another takes its place; 0 for any number.",
        whole,
        "REPROQ_MAX_RUNS_PER_CHILD",
        bounds=(0, 1_000_000_000),
    )
    max_rss: int = _size(
        "Memory that a child of pool may hold between two runs before another takes its place; 0 for any.",
        "REPROQ_MAX_RSS",
        bounds=(0, 1 << 50),
    )
    max_memory: int = _size("Memory of each process of a run; 0 for any.", "REPROQ_MAX_MEMORY", bounds=(0, 1 << 50))
    python_path: str = _knob(
        "",
        "The interpreter of spawn; the worker's own when empty.",
        text,
        "REPROQ_PYTHON_PATH",
        "PYTHON_PATH",
    )
    commands: tuple[tuple[str, tuple[str, ...]], ...] = _knob(
        (),
        "What the executor command runs: a table of task path patterns or queue:NAME, and an argv for each.",
        commands,
        "REPROQ_COMMANDS",
    )
    pass_environment: tuple[str, ...] = _knob(
        (),
        "Names of environment variables that tasks and commands see besides those that they see anyway.",
        names,
        "REPROQ_PASS_ENVIRONMENT",
    )
    exec_sleep: float = _knob(
        0.1, "How long a mock run sleeps.", duration, "REPROQ_EXEC_SLEEP", "EXEC_SLEEP", bounds=(0, 86_400), unit="s"
    )
    poll_interval: float = _knob(
        1.0,
        "How long an idle worker waits before it looks again.",
        duration,
        "REPROQ_POLL_INTERVAL",
        "POLL_INTERVAL",
        bounds=(0.01, 3600),
        unit="s",
    )
    pooler: str = _knob(
        "auto",
        "Whether a pooler is before the database: auto recognises it, on, off. Behind one nothing is prepared.",
        pooler_mode,
        "REPROQ_POOLER",
        choices=POOLER_MODES,
    )
    listen: str = _knob(
        "auto",
        "Whether producers wake an idle worker by NOTIFY: auto, or off for looking at intervals only.",
        listen_mode,
        "REPROQ_LISTEN",
        choices=LISTEN_MODES,
    )
    listen_dsn: str = _knob(
        "", "Address of the same database for LISTEN, where dsn is a pooler's.", text, "REPROQ_LISTEN_DSN", secret=True
    )
    database_timeout: float = _knob(
        8.0,
        "How long the worker waits for an answer of the database before it connects again; half a lease at most.",
        duration,
        "REPROQ_DATABASE_TIMEOUT",
        bounds=(0.1, 3600),
        unit="s",
    )
    lease: float = _knob(
        30.0, "How long a claim holds without renewal.", duration, "REPROQ_LEASE", bounds=(0.5, 86_400), unit="s"
    )
    heartbeat: float = _knob(
        10.0, "How often claims are renewed.", duration, "REPROQ_HEARTBEAT", bounds=(0.1, 28_800), unit="s"
    )
    timeout: float = _knob(
        900.0, "How long a run may take.", duration, "REPROQ_TIMEOUT", bounds=(0.001, 30 * 86_400), unit="s"
    )
    kill_grace: float = _knob(
        5.0, "Time between TERM and KILL.", duration, "REPROQ_KILL_GRACE", bounds=(0, 600), unit="s"
    )
    drain_timeout: float = _knob(
        25.0,
        "How long a stopping worker waits for its runs.",
        duration,
        "REPROQ_DRAIN_TIMEOUT",
        bounds=(0, 86_400),
        unit="s",
    )
    max_attempts: int = _knob(
        3, "Counted tries of a run before it fails.", whole, "REPROQ_MAX_ATTEMPTS", bounds=(1, 1000)
    )
    max_releases: int = _knob(
        20, "Releases of a run before one counts as a failure.", whole, "REPROQ_MAX_RELEASES", bounds=(0, 10_000)
    )
    max_payload_bytes: int = _size(
        "Largest arguments of a run.", "REPROQ_MAX_PAYLOAD_BYTES", bounds=(1, 1 << 25), default=1 << 20
    )
    max_return_bytes: int = _size(
        "Largest return value of a run.", "REPROQ_MAX_RETURN_BYTES", bounds=(1, 1 << 25), default=1 << 20
    )
    beat: bool = _knob(True, "Whether a worker fires schedules, too.", switch, "REPROQ_BEAT", choices=SWITCHES)
    beat_interval: float = _knob(
        10.0,
        "How long schedules go without a look: so late may be noticed what was added or changed.",
        duration,
        "REPROQ_BEAT_INTERVAL",
        bounds=(0.05, 3600),
        unit="s",
    )
    report_json: str = _knob(
        "", "A file to which a worker writes its report when it ends.", text, "REPROQ_REPORT_JSON", "REPORT_JSON"
    )
    retention: Retention = _knob(  # noqa: RUF009 - it is frozen, too
        DEFAULT_RETENTION,
        "How long finished runs are kept before workers delete them, by status and queue; off keeps everything.",
        retention,
        "REPROQ_RETENTION",
    )
    prune_interval: float = _knob(
        60.0,
        "About how often a worker looks for runs that are kept no longer.",
        duration,
        "REPROQ_PRUNE_INTERVAL",
        bounds=(0.1, 86_400),
        unit="s",
    )
    output_bytes: int = _size(
        "Most that is kept of a run's output.", "REPROQ_OUTPUT_BYTES", bounds=(0, 1 << 24), default=1 << 16
    )


KNOBS: Final[dict[str, Knob]] = {item.name: item.metadata["knob"] for item in fields(Config)}


@dataclass(frozen=True, slots=True)
class Source:
    """Where values come from, in people's words, and the values by the knobs' names. `places` are the words for single
    values, where those can be more exact."""

    name: str
    values: Mapping[str, object]
    places: Mapping[str, str] = dataclass_field(default_factory=dict)

    def place(self, name: str) -> str:
        """Where the value of one knob stands."""
        return self.places.get(name, self.name)


def from_environment(environ: Mapping[str, str]) -> Source:
    """The knobs that the environment sets; the first name of a knob that is set and not empty wins."""
    chosen = {name: next(filter(environ.get, knob.environment), "") for name, knob in KNOBS.items()}
    found = {name: variable for name, variable in chosen.items() if variable}
    return Source(
        "the environment",
        {name: environ[variable] for name, variable in found.items()},
        {name: f"the environment variable {variable}" for name, variable in found.items()},
    )


def load(*sources: Source) -> Config:
    """The configuration that these sources give, later ones above earlier ones.

    Raises ConfigurationError with every problem of every source in one text.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for source in sources:
        for name, value in source.values.items():
            try:
                values[name] = _parsed(name, value)
            except ValueError as error:
                problems.append(f"{source.place(name)}: {error}")
    if not problems:
        config = Config(**values)
        found = origins(*sources)
        for involved, sentence in conflicts(config):
            problems.append(f"{sentence} ({', '.join(f'{name}: {found[name]}' for name in involved)})")
        if not problems:
            return config
    raise ConfigurationError("\n".join(problems))


def origins(*sources: Source) -> dict[str, str]:
    """Where the value of each knob comes from: the place in the last source that sets it, or `default`."""
    found = dict.fromkeys(KNOBS, "default")
    for source in sources:
        found |= {name: source.place(name) for name in source.values}
    return found


def _parsed(name: str, value: object) -> Any:
    knob = KNOBS.get(name)
    if knob is None:
        near = get_close_matches(name, KNOBS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"there is no setting {name}{hint}")
    shown = "(secret)" if knob.secret else repr(value)
    try:
        parsed = knob.parse(value)
    except ValueError as error:
        raise ValueError(f"{name} = {shown} {error}") from None
    if knob.bounds and not knob.bounds[0] <= parsed <= knob.bounds[1]:
        raise ValueError(f"{name} = {shown} {outside(*knob.bounds, knob.unit)}")
    return parsed


def conflicts(config: Config) -> list[tuple[tuple[str, ...], str]]:
    """Values that are fine alone and cannot work together: their names, and a sentence with the remedy."""
    problems: list[tuple[tuple[str, ...], str]] = []
    if config.lease < 3 * config.heartbeat - 1e-9:  # 3 x 0.2 is a little more than 0.6
        got = f"lease={config.lease:g}s heartbeat={config.heartbeat:g}s"
        sentence = f"lease must be at least 3 x heartbeat, got {got}; raise lease or lower heartbeat"
        problems.append((("lease", "heartbeat"), sentence))
    if "*" in config.queues and len(config.queues) > 1:
        sentence = f"queues = {','.join(config.queues)} mixes * with names; give * alone or names alone"
        problems.append((("queues",), sentence))
    if config.exclude_queues and config.queues != ("*",):
        sentence = "exclude_queues only works beside queues = *; leave it out or serve *"
        problems.append((("exclude_queues", "queues"), sentence))
    return problems
