"""A task that does nothing: what `reproq loadgen` enqueues unless it is told another. No app has to be installed."""

from reproq_django.task_class import unvalidated


@unvalidated
def do_nothing(seed: int, number: int, text: str) -> None:
    """Takes what loadgen gives: its seed, the run's number, and a text of the size asked for."""
