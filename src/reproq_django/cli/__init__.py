"""Commands that need Django; they join the tree of `reproq` by its entry point. Importing this imports no Django."""

from typing import Final

commands: Final = {
    "demo": "reproq_django.cli.demo:demo",
    "enqueue": "reproq_django.cli.enqueue:enqueue",
    "embedded": "reproq_django.cli.embedded:embedded",
    "simulate": "reproq_django.cli.simulate:simulate",
}
