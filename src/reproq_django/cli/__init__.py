"""Commands that need Django; they join the tree of `reproq` by its entry point. Importing this imports no Django."""

from typing import Final

from reproq.cli import Listed

commands: Final = {
    "bench": Listed("reproq_django.cli.bench:bench", "Measure what Reproq costs, each figure beside a reference."),
    "demo": Listed(
        "reproq_django.cli.demo:demo",
        "Show Reproq at work: several hundred real runs, every way a run can end, and a replay.",
    ),
    "embedded": Listed(
        "reproq_django.cli.embedded:embedded", "The PostgreSQL that comes as a wheel: is it running, and stop it."
    ),
    "enqueue": Listed(
        "reproq_django.cli.enqueue:enqueue", "Enqueue the task at PATH, such as shop.tasks.send_receipt."
    ),
    "schedules": Listed(
        "reproq_django.cli.schedules:schedules", "Look at schedules, make, change, fire and sync them."
    ),
    "simulate": Listed(
        "reproq_django.cli.simulate:simulate",
        "Play histories of crashes, outages and races against the real worker and the real SQL; exit 3 on a violation.",
    ),
}
