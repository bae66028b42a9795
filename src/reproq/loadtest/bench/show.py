"""The tables of a bench, for people: every figure, what stands beside it, their ratio, and the goals."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reproq.loadtest.bench.figures import Costs, Figure, Goal
from reproq.loadtest.bench.measures import Bench

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def show(bench: Bench, out: "Console") -> None:
    """Print them."""
    for renderable in tables(bench):
        out.print(renderable)


def tables(bench: Bench) -> Iterator["RenderableType"]:
    """The machine, the figures, and what drains cost."""
    machine = bench.machine
    commits = f"{bench.pgbench:,.0f} commits/s" if bench.pgbench else f"not measured: {bench.no_pgbench}"
    software = f"PostgreSQL {machine.postgresql}, Python {machine.python}, Reproq {machine.reproq}"
    yield f"{machine.cpus} CPUs ({machine.cpu_model}), load {machine.load_average}, {software}; pgbench -N: {commits}"
    yield figures_table(bench.figures)
    if any(figure.middle.costs for figure in bench.figures):
        yield costs_table(bench.figures)


def figures_table(figures: list[Figure]) -> "RenderableType":
    """Medians, each with its reference and the ratio of both."""
    from rich.table import Table

    table = Table("measure", "what", caption="medians by ratio; ✓ kept, ✗ not kept")
    for head in ("value", "beside it", "ratio"):
        table.add_column(head, justify="right")
    table.add_column("goal")
    for one in figures:
        middle = one.middle
        beside = "" if middle.reference is None else f"{one.beside} {number(middle.reference)}"
        ratio = "" if middle.ratio is None else f"{middle.ratio:.2f}"
        goals = "; ".join(_judged(one, goal) for goal in one.goals)
        table.add_row(one.measure, one.name, f"{number(middle.value)} {one.unit}".rstrip(), beside, ratio, goals)
    return table


def _judged(figure: Figure, goal: Goal) -> str:
    return f"{goal.words(figure.unit)} {'✓' if figure.is_kept(goal) else '✗'}"


def costs_table(figures: list[Figure]) -> "RenderableType":
    """What 1,000 runs of each drain took."""
    from rich.table import Table

    table = Table("per 1,000 runs of", caption="-: cannot be seen from here")
    for head in ("commits", "WAL kB", "index entries", "CPU s worker", "CPU s children", "CPU s PostgreSQL"):
        table.add_column(head, justify="right")
    for one in figures:
        if (costs := one.middle.costs) is not None:
            table.add_row(one.name, *_costs(costs))
    return table


def _costs(costs: Costs) -> Iterator[str]:
    yield f"{costs.commits:.1f}"
    yield f"{costs.wal_bytes / 1000:,.0f}"
    yield "-" if costs.index_entries is None else f"{costs.index_entries:,.0f}"
    for seconds in (costs.worker_cpu_seconds, costs.children_cpu_seconds, costs.server_cpu_seconds):
        yield "-" if seconds is None else f"{seconds:.3f}"


def number(value: float) -> str:
    """With three digits that count, and commas in what is large."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
