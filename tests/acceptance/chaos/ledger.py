"""What is written down outside the database: what producers were told, and when tasks began and ended.

A line is one write with O_APPEND, so that the lines of any number of processes stay whole.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

TICK = "tick"
"""The label of the runs that a schedule enqueues: no producer knows of them."""


def append(path: str | os.PathLike[str], line: str, *, durable: bool = False) -> None:
    """Add a line; `durable`: it is on the disk when this returns."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(file, f"{line}\n".encode())
        if durable:
            os.fsync(file)
    finally:
        os.close(file)


@dataclass(slots=True)
class Ledger:
    """What producers know, by the runs' labels: acknowledged (with the id that they were given), in doubt (the answer
    did not come), never committed."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    doubted: set[str] = field(default_factory=set)
    undone: set[str] = field(default_factory=set)


def read_ledgers(folder: Path) -> Ledger:
    """All that the producers of a round wrote. A call without a line about its end is in doubt: they may be killed."""
    ledger = Ledger()
    for path in sorted(folder.glob("ledger-*")):
        for line in path.read_text().splitlines():
            said = json.loads(line)
            labels = said["labels"]
            match said["what"]:
                case "asked":
                    ledger.doubted |= set(labels)
                case "acknowledged":
                    ledger.acknowledged |= dict(zip(labels, said["ids"], strict=True))
                case "undone":
                    ledger.undone |= set(labels)
    ledger.doubted -= ledger.acknowledged.keys() | ledger.undone
    return ledger


@dataclass(frozen=True, slots=True)
class Mark:
    """One line of a task: it `began`, `runs`, or has `ended`, in that process under that attempt."""

    word: str
    label: str
    run_id: int
    attempt: int
    worker_id: str
    pid: int
    at: float


def read_marks(folder: Path) -> list[Mark]:
    """All that the tasks of a round wrote, in the order in which they did."""
    path = folder / "marks"
    lines = path.read_text().splitlines() if path.exists() else []
    split = [line.split(" ") for line in lines]
    return [
        Mark(word, label, int(result_id.partition("-")[0]), int(attempt), worker_id, int(pid), float(at))
        for word, label, result_id, attempt, worker_id, pid, at in split
    ]
