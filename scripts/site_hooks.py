"""A hook of the documentation site: it refuses a page for which a reader's browser would ask another server."""

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//[^>]*>"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preconnect|preload|icon))[^>]*\bhref=["']?(?:https?:)?//[^>]*>"""
    r"""|(?:@import|url\()\s*["']?(?:https?:)?//[^)"']*"""
)


def on_post_build(config: Any, **kwargs: Any) -> None:
    """Look through every page and style sheet of the site. Raises PluginError, naming file and text."""
    site = Path(config["site_dir"])
    found = [
        f"{path.relative_to(site)}: {hit[0]}"
        for path in sorted(site.rglob("*"))
        if path.suffix in {".html", ".css"}
        for hit in FETCHED.finditer(path.read_text("utf-8"))
    ]
    if found:
        raise PluginError("the site would fetch from elsewhere:\n" + "\n".join(found))
