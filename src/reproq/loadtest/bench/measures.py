"""Which measures there are, in which order they are taken, and what is kept of them as JSON."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from reproq.loadtest.bench import claims, drain, enqueue, latency
from reproq.loadtest.bench.drain import ceiling
from reproq.loadtest.bench.figures import Figure, Taking
from reproq.loadtest.bench.machine import Machine, machine
from reproq.loadtest.bench.place import BenchFailed, Place, ask
from reproq.loadtest.bench.processes import pgbench, program_of
from reproq.loadtest.bench.producer import Producer
from reproq.loadtest.bench.watch import local_server

VERSION: Final = 1
CEILING_RUNS: Final = 50_000


class Measure(StrEnum):
    """What can be measured."""

    CEILING = "ceiling"
    DRAIN = "drain"
    ENQUEUE = "enqueue"
    LATENCY = "latency"
    BACKLOG = "backlog"
    HISTORY = "history"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything; None takes what each measure usually takes."""

    runs: int | None = None
    executors: tuple[str, ...] = ()
    workers: tuple[int, ...] = ()
    payloads: tuple[int, ...] = ()
    samples: int = latency.SAMPLES
    rows: int | None = None

    def cases(self) -> list[drain.Case]:
        """What is drained: the usual, or every combination of what was asked for."""
        if not (self.executors or self.workers or self.payloads):
            return drain.usual_cases(self.runs)
        return [
            drain.Case(executor, workers, payload, self.runs or drain.RUNS[executor])
            for executor in self.executors or tuple(drain.RUNS)
            for workers in self.workers or (1,)
            for payload in self.payloads or (100,)
        ]

    @property
    def awaited(self) -> list[str]:
        """The executors whose latency is measured: those that run tasks, without a cold start for each."""
        return [one for one in latency.EXECUTORS if one in (self.executors or latency.EXECUTORS)]


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that was measured, and on what. `pgbench` is None where `no_pgbench` says why."""

    machine: Machine
    figures: list[Figure]
    pgbench: float | None
    no_pgbench: str

    def facts(self) -> dict[str, Any]:
        """All of it for JSON."""
        return {
            "version": VERSION,
            "machine": asdict(self.machine),
            "pgbench_commits_per_second": self.pgbench,
            "no_pgbench": self.no_pgbench,
            "figures": [figure.facts() for figure in self.figures],
        }


def take(place: Place, producer: Producer, measures: Sequence[Measure], sizes: Sizes) -> Bench:
    """Take these measures, in the order of `Measure`, whatever was asked for first."""
    ((backend_pid, version),) = ask(place.database, "server")
    taken_on = machine(version)
    compared = {Measure.CEILING, Measure.DRAIN} & set(measures)
    commits, why_not = _pgbench(place, backend_pid) if compared else (None, "neither ceiling nor drain was measured")
    how: dict[Measure, Callable[[], list[Figure]]] = {
        Measure.CEILING: lambda: [_ceiling(place, commits, sizes.runs or CEILING_RUNS)],
        Measure.DRAIN: lambda: drain.measure(place, sizes.cases()),
        Measure.ENQUEUE: lambda: enqueue.measure(place, producer, **_enqueued(sizes.runs)),
        Measure.LATENCY: lambda: latency.measure(place, producer, sizes.awaited, sizes.samples),
        Measure.BACKLOG: lambda: claims.measure(place, "backlog", claims.backlog(sizes.rows or claims.ROWS["backlog"])),
        Measure.HISTORY: lambda: claims.measure(place, "history", claims.history(sizes.rows or claims.ROWS["history"])),
    }
    figures = [figure for measure in Measure if measure in measures for figure in how[measure]()]
    return Bench(taken_on, figures, commits, why_not)


def _enqueued(runs: int | None) -> dict[str, int]:
    return {} if runs is None else {"singles": min(runs, enqueue.SINGLES), "many": min(runs, enqueue.MANY)}


def _ceiling(place: Place, commits: float | None, runs: int) -> Figure:
    place.say(f"ceiling: {runs:,} runs")
    takings = tuple(Taking(ceiling(place, runs), commits) for _ in range(place.times))
    beside = "pgbench -N" if commits else ""
    return Figure(measure="ceiling", name=f"{runs:,} runs", unit="runs/s", takings=takings, beside=beside)


def _pgbench(place: Place, backend_pid: int) -> tuple[float | None, str]:
    """Commits a second of the same server, or why there is no such figure."""
    place.say("pgbench -N")
    server = local_server(backend_pid)
    program = program_of("pgbench", server.folder if server else None)
    if program is None:
        return None, "no pgbench beside the server, on the PATH or in /usr/lib/postgresql"
    try:
        return pgbench(place, program), ""
    except BenchFailed as error:
        return None, str(error)
