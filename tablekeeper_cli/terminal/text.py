"""Text from files, such as keys and values, made fit for a terminal."""

from __future__ import annotations

LONGEST = 200


def printable(text: str, longest: int | None = None) -> str:
    r"""The text with what is not printable written as in Python (`\x1b`), and cut behind `longest`
    characters, so that no file can control a terminal.
    """
    if longest is not None and len(text) > longest:
        text = text[:longest] + "…"
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
