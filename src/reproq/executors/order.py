"""What a child is given: a run; and the bounds of a life that is longer than one. Pure."""

from dataclasses import dataclass

from reproq.lifecycle import Key


@dataclass(frozen=True, slots=True)
class Order:
    """One submitted run, and its payload as it travels."""

    key: Key
    framed: bytes
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a child has served long enough (0: never), and what is kept of each run."""

    output_bytes: int
    max_return_bytes: int
    max_runs: int
    max_rss_bytes: int
