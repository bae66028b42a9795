"""Made-up runs: every spec different, and the same ones for the same seed, whatever queues and priorities they get."""

import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from reproq.spec import make_spec
from reproq.store.runs import NewRun, Terms

LATEST_SECONDS: Final = 30.0
"""A run that is scheduled falls due within this time; a burst waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What runs to make up. `later_percent` of them are scheduled, the others due at once."""

    task_path: str
    seed: int
    queues: tuple[str, ...]
    priorities: tuple[int, ...]
    later_percent: float
    payload_size: int
    """Characters of text in the arguments of a run."""
    backend: str = "default"
    max_attempts: int = 3


def arguments(seed: int, number: int, text: str) -> list[int | str]:
    """What the task of a made-up run is given."""
    return [seed, number, text]


def made_up(shape: Shape) -> Iterator[NewRun]:
    """Runs without end. The arguments of the n-th are the seed, n, and a text that both decide."""
    words = random.Random(shape.seed)  # noqa: S311 - repeatable is the point
    places = random.Random(~shape.seed)  # noqa: S311 - of its own, so that no option changes a spec
    for number in count():
        text = words.randbytes(shape.payload_size // 2 + 1).hex()[: shape.payload_size]
        is_later = places.random() * 100 < shape.later_percent
        yield NewRun(
            spec=make_spec(shape.task_path, arguments(shape.seed, number, text), {}),
            nonce=secrets.randbits(64) - (1 << 63),
            terms=Terms(
                backend=shape.backend,
                queue_name=places.choice(shape.queues),
                priority=places.choice(shape.priorities),
                delay_seconds=places.uniform(1.0, LATEST_SECONDS) if is_later else None,
                max_attempts=shape.max_attempts,
            ),
        )
