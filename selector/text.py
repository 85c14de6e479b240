"""Small helpers for text that people read."""

import difflib
import json
import re
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """What to add to a message about an unknown name: the most similar known one, or nothing."""
    known = {known.lower(): known for known in names}
    if similar := difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6):
        return f", did you mean '{known[similar[0]]}'?"
    return ""


def counted(number: int, noun: str) -> str:
    """A number and its noun, such as "1 run", "2 runs" or "2 classes"."""
    return f"{number} {noun}{'' if number == 1 else 'es' if noun.endswith('s') else 's'}"


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def printable(text: str) -> str:
    """Text from elsewhere in one line, without what could move a terminal's cursor or colour its output."""
    return "".join(character if character.isprintable() else " " for character in text)


def escaped(text: str) -> str:
    """JSON text that no terminal obeys: what is not printable is written as an escape, and means the same."""
    return re.sub(
        r"[^ -~\n]", lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text
    )


def csv_cell(value: object) -> object:
    """A value for CSV: text in one line, never a formula to a spreadsheet (the quote before it helps)."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text
