"""Small helpers for text that people read."""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """What to add to a message about an unknown name: the most similar known one, or nothing."""
    known = {known.lower(): known for known in names}
    if similar := difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6):
        return f", did you mean '{known[similar[0]]}'?"
    return ""


def printable(text: str) -> str:
    """Text from elsewhere in one line, without what could move a terminal's cursor or colour its output."""
    return "".join(character if character.isprintable() else " " for character in text)
