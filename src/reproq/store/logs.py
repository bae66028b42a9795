"""What attempts printed: written with their ends, read by people."""

from collections.abc import Sequence
from dataclasses import dataclass

from reproq.output import Output
from reproq.store.arrays import numbers, storable, texts
from reproq.store.statements import Cursor, execute, fetch_all


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """What one attempt printed: all of it in `head`, or the first and the last bytes of `bytes_total`."""

    attempt: int
    head: str
    tail: str
    bytes_total: int

    @property
    def is_cut(self) -> bool:
        """Whether something was left out between head and tail."""
        return bool(self.tail) or not self.head


def write(cursor: Cursor, printed: Sequence[tuple[int, int, Output]]) -> None:
    """Store what these attempts, `(run_id, attempt, output)` each, printed; nothing is sent when none printed."""
    printed = [one for one in printed if one[2].bytes_total]
    if not printed:
        return
    both = [output.texts for _, _, output in printed]
    params = {
        "run_ids": numbers(run_id for run_id, _, _ in printed),
        "attempts": numbers(attempt for _, attempt, _ in printed),
        "heads": texts(storable(head) for head, _ in both),
        "tails": texts(storable(tail) for _, tail in both),
        "bytes_totals": numbers(output.bytes_total for _, _, output in printed),
    }
    execute(cursor, "write_logs", params)


def of_run(cursor: Cursor, run_id: int) -> list[AttemptLog]:
    """What the attempts of a run printed, oldest first; attempts that printed nothing are not among them."""
    return [AttemptLog(*row) for row in fetch_all(cursor, "list_logs", {"run_id": run_id})]
