"""Parts of a page that are made: each stands between `<!-- name -->` and `<!-- end -->`, and people write the rest."""

import re
from collections.abc import Mapping
from pathlib import Path


def with_parts(page: Path, made: Mapping[str, str]) -> str:
    """The page with these parts made anew. Raises SystemExit where it has not exactly one of each."""
    text = page.read_text("utf-8")
    for name, body in made.items():
        part = f"<!-- {name} -->\n{body}\n<!-- end -->"
        text, times = re.subn(f"<!-- {name} -->.*?<!-- end -->", lambda _, part=part: part, text, flags=re.DOTALL)
        if times != 1:
            raise SystemExit(f"{page} needs one part <!-- {name} --> … <!-- end -->, and has {times}")
    return text
