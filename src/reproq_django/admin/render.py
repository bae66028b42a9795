"""Stored values as text for a page: escaped, cut at a bound, and with what cannot be seen as visible escapes."""

import json
from typing import Final

from django.utils.html import format_html
from django.utils.safestring import SafeString

from reproq_django.visible import visible

MAX_LINE: Final = 100
MAX_BLOCK: Final = 20_000


def line(text: str | None, limit: int = MAX_LINE) -> str:
    """At most `limit` characters on one line. Plain text: whoever puts it into a page escapes it, as templates do."""
    if text is None:
        return ""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return visible(" ".join(short.split()))


def block(text: str | None, limit: int = MAX_BLOCK) -> SafeString | str:
    """At most `limit` characters with their line breaks, escaped; it says so where some were left out."""
    if not text:
        return "-"
    left_out = "" if len(text) <= limit else f"\n… only the first {limit:,} characters are shown"
    return format_html('<pre class="reproq-text">{}</pre>', visible(text[:limit]) + left_out)


def document(text: str | None, limit: int = MAX_BLOCK) -> SafeString | str:
    """A stored JSON text, indented where all of it fits."""
    if text is None or len(text) > limit:
        return block(text, limit)
    try:
        return block(json.dumps(json.loads(text), indent=2, ensure_ascii=False), 10 * limit)
    except (ValueError, RecursionError):  # an integer of more digits than Python reads, or too deep
        return block(text, limit)
