"""Texts from strangers (task paths, what tasks print and raise) as people can see them, whatever they hold."""


def visible(text: str) -> str:
    r"""`text` with U+0000, surrogates, bidirectional marks and control characters as `\x00`, `\ud800`, `\u202e`."""
    return "".join(mark if mark.isprintable() or mark in "\n\t" else ascii(mark)[1:-1] for mark in text)
