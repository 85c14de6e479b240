"""`selector figures`."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from selector.commands.arguments import Name, Names, Runs, runs_named, show, warn


def figures(
    runs: Runs,
    *,
    output: Path = Path("figures"),
    metric: Names = ("rankme",),
    oracle: Name = "linear_probe_accuracy",
    run: Names = (),
    format: Literal["png", "svg", "pdf"] = "png",
    json: bool = False,
) -> int:
    """Draw metrics over training beside the accuracy, one picture per run.

    With --metric entropy, these are the paper's Figures 2 to 4. Milestones whose embedding has outliers
    are marked.

    Args:
        output: Folder for the pictures.
        metric: Built-in metrics, or keys that the runs logged.
        oracle: The labelled metric to draw beside them, or a key that the runs logged; none without labels.
        run: Only these runs, by id.
        format: File format of the pictures.
        json: Print the rows of the pictures as one JSON object.
    """
    from selector.commands.named import named_labelled, named_metric
    from selector.paper.figures import draw_courses

    drawn = [named_metric(name) for name in dict.fromkeys(metric)]
    judge = named_labelled(oracle, "max")
    found = runs.read()
    if some := runs_named(run, found):
        found = replace(found, runs=tuple(one for one in found.runs if one in some))
    pictures, warnings = draw_courses(found, drawn, judge, output, format)
    warn(warnings)
    files = [picture["file"] for picture in pictures]
    return show(json, {"figures": pictures}, lambda _: print(*files, sep="\n"))
