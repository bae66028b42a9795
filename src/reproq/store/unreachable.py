"""Why a database cannot be reached, in one line for the log. It knows what libpq and psycopg say, and nothing else."""

from typing import Final

_EACH: Final = "\nMultiple connection attempts failed."
"""From here on psycopg lists what each of several hosts said; the last one's words stand before it."""
_HOST: Final = "\n- host: "
_READ_ONLY: Final = "session is read-only"
_STANDBY: Final = "a standby answers, and a worker waits for the primary"


def reason(error: BaseException) -> str:
    """What was said, without line breaks; where a standby was met, that it is one: libpq only calls it read-only."""
    text = str(error)
    words = " ".join(text.partition(_EACH)[0].split())
    return f"{words} ({_STANDBY})" if _READ_ONLY in text else words


def each_host(error: BaseException) -> list[str]:
    """What was said of each host that was tried, where there were several, else the one text."""
    last, *all_of_them = str(error).split(_HOST)
    return all_of_them or [last]
