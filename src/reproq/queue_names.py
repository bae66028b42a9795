"""Which names a queue can have: those that `--queues` can spell and a worker will serve. Pure."""

from typing import Final

MAX_QUEUE_NAME: Final = 200
"""Characters."""


def queue_name_fault(name: object) -> str:
    """What keeps a worker from ever serving a queue of this name; nothing for a good one."""
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_QUEUE_NAME:
        return f"must be a text of 1 to {MAX_QUEUE_NAME} characters"
    if name != name.strip() or "," in name or "*" in name or not name.isprintable():
        return "must be printable, without commas, asterisks and outer spaces, which workers read as lists and as all"
    return ""
