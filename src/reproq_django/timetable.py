"""What is wrong with the texts of a periodic task, one question a text; nothing for a good one."""

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

EXAMPLE_MOMENT: Final = datetime(2024, 1, 1, tzinfo=UTC)  # a leap year, so that 29 February is found at once


def cron_fault(text: str) -> str:
    """Why an expression cannot fire."""
    fields = text.split()
    if len(fields) not in (5, 6):
        return f"A cron expression has 5 fields, or 6 with seconds first; this one has {len(fields)}."
    try:
        next(CronSim(text, EXAMPLE_MOMENT))
    except CronSimError as error:
        return f"{error}: minute, hour, day of month, month, day of week (a sixth field, seconds, comes first)."
    except StopIteration:
        return "This expression never fires: no such day exists."
    return ""


def time_zone_fault(name: str) -> str:
    """Why a name is no time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; a path, say; a folder of the database
        return f"{name!r} is no time zone of the IANA database; write UTC or Europe/Berlin, say."
    return ""


def task_path_fault(path: str) -> str:
    """Why a text is no dotted path."""
    parts = path.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        return "A task path is a module and a name with dots between them, such as shop.tasks.remind."
    return ""
