"""The report of a worker's end: how its runs ended, how many a second, and p50, p95, p99 and max of what it measured.

Bounded memory, however many runs there were. It refuses to know where it is shown.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import batched
from typing import Any, Final

from reproq.telemetry.events import Event, Measure
from reproq.telemetry.histogram import Histogram

ENDS: Final = {
    "run.succeeded": "succeeded",
    "run.failed": "failed",
    "run.retried": "retried",
    "run.released": "released",
    "run.cancelled": "cancelled",
    "run.return_refused": "refused",
    "run.outcome_discarded": "discarded",
}
"""The events that end an attempt, and the word for each."""
PERCENTILES: Final = (50, 95, 99)
MAX_BARS: Final = 12
BAR_CELLS: Final = 40


class Report:
    """Listens (`on_event` is a handler, `on_measure` a meter) until somebody asks for `facts` or `lines`."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._worker = ""
        self._ends: Counter[str] = Counter()
        self._histograms = {measure: Histogram() for measure in Measure}
        self._began_s: float | None = None
        self._ended_s = 0.0

    def on_event(self, event: Event) -> None:
        """Count the ends of attempts."""
        if word := ENDS.get(event.name):
            self._ends[word] += 1
            self._ended_s = self._monotonic()
        elif event.name == "worker.started":
            self._worker = str(event.fields["worker"])

    def on_measure(self, measure: Measure, seconds: list[float]) -> None:
        """Count a batch of durations."""
        if self._began_s is None and seconds:
            self._began_s = self._monotonic() - max(seconds)
        self._histograms[measure].add(seconds)

    @property
    def busy_seconds(self) -> float:
        """From the first claim that found runs to the last stored end."""
        return 0.0 if self._began_s is None else max(0.0, self._ended_s - self._began_s)

    @property
    def per_second(self) -> float:
        """Ends of attempts in each of these seconds."""
        return self._ends.total() / self.busy_seconds if self.busy_seconds else 0.0

    def facts(self) -> dict[str, Any]:
        """The report for machines. All durations are seconds; a histogram is pairs of upper bound and count."""
        return {
            "worker": self._worker,
            "ends": dict(self._ends),
            "seconds": self.busy_seconds,
            "ends_per_second": self.per_second,
            **{measure.value: _figures(histogram) for measure, histogram in self._histograms.items()},
        }

    def lines(self) -> Iterator[str]:
        """The report for people."""
        ends = ", ".join(f"{count:,} {word}" for word, count in self._ends.most_common()) or "no run ended"
        rate = f" in {self.busy_seconds:.1f} s, {self.per_second:,.0f} a second" if self._ends else ""
        yield f"Report of {self._worker or 'a worker that never registered'}: {ends}{rate}"
        yield f"{'':12}{'count':>10}" + "".join(f"{name:>10}" for name in ("p50", "p95", "p99", "max"))
        for measure, histogram in self._histograms.items():
            if measure is Measure.SCHEDULE_LAG and not histogram.count:
                continue
            figures = [histogram.percentile(percent) for percent in (*PERCENTILES, 100)]
            cells = "".join(f"{duration_text(seconds):>10}" for seconds in figures)
            yield f"{_words(measure):12}{histogram.count:>10,}{cells}"
        for measure in (Measure.QUEUE_WAIT, Measure.EXECUTION):
            if self._histograms[measure].count:
                yield f"{_words(measure)}, up to"
                yield from _bars(self._histograms[measure])


def _figures(histogram: Histogram) -> dict[str, Any]:
    percentiles = {f"p{percent}": histogram.percentile(percent) for percent in PERCENTILES}
    mean = histogram.sum_seconds / histogram.count if histogram.count else None
    extremes = {"max": histogram.percentile(100), "mean": mean}
    return {"count": histogram.count, **percentiles, **extremes, "histogram": [list(bar) for bar in histogram.bars()]}


def _words(measure: Measure) -> str:
    return measure.value.replace("_", " ")


def _bars(histogram: Histogram) -> Iterator[str]:
    """At most MAX_BARS lines; where there are more octaves, neighbours share one."""
    octaves = list(histogram.bars())
    shared = -(-len(octaves) // MAX_BARS)
    bars = [(group[-1][0], sum(count for _, count in group)) for group in batched(octaves, shared)]
    most = max(count for _, count in bars)
    for upper_seconds, count in bars:
        bar = "█" * -(-count * BAR_CELLS // most)
        yield f"{duration_text(upper_seconds):>10}  {bar:{BAR_CELLS}} {count:,}"


def duration_text(seconds: float | None) -> str:
    """Three figures and a unit: `850 µs`, `12.3 ms`, `4.2 s`; a dash for None."""
    if seconds is None:
        return "-"
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}" if seconds * factor < 1000 else f"{seconds * factor:,.0f} {unit}"
    return f"{seconds * 1e6:.3g} µs"
