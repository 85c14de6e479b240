"""What a run logged in the end."""

from selector.runs import Run
from selector.selection.candidates import last_milestone


def value_of(run: Run, key: str) -> float:
    """At the last milestone; NaN where it was not logged."""
    last = last_milestone(run, key)
    return float("nan") if last is None else last.values.get(key, float("nan"))
