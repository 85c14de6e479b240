"""`selector figures`."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from selector.commands.arguments import Group, Name, Names, Source, Tag, read_runs, warn
from selector.errors import UsageError, UserError
from selector.text import nearest


def figures(
    source: Source,
    /,
    *,
    output: Path = Path("figures"),
    metric: Names = ("entropy",),
    oracle: Name = "linear_probe_accuracy",
    run: Names = (),
    format: Literal["png", "svg", "pdf"] = "png",
    quiet: bool = False,
    json: bool = False,
    tag: Tag = None,
    group: Group = None,
) -> int:
    """Draw metrics over training beside the accuracy, one picture per run: the paper's Figures 2 to 4.

    Milestones whose embedding has outliers are marked.

    Args:
        source: A folder of offline runs, entity/project/sweep_id, or the URL of a W&B sweep or project.
        output: Folder for the pictures.
        metric: Built-in metrics, or keys that the runs logged.
        oracle: The labelled metric to draw beside them, or a key that the runs logged; none without labels.
        run: Only these runs, by id.
        format: File format of the pictures.
        quiet: Show no progress; warnings are still shown.
        json: Print the rows of the pictures as one JSON object.
        tag: Only runs that carry this W&B tag.
        group: Only runs of this W&B group.
    """
    from selector.commands.named import named_labelled, named_metric
    from selector.paper.figures import draw_courses

    drawn = [named_metric(name) for name in dict.fromkeys(metric)]
    if not drawn:
        raise UsageError("--metric needs a name")
    judge = named_labelled(oracle, "max")
    runs = read_runs(source, tag=tag, group=group, quiet=quiet)
    ids = [one.id for one in runs.runs]
    if unknown := [id for id in run if id not in ids]:
        raise UserError(f"{runs.source} holds no run '{unknown[0]}'{nearest(unknown[0], ids)}")
    if run:
        runs = replace(runs, runs=tuple(one for one in runs.runs if one.id in run))
    pictures, warnings = draw_courses(runs, drawn, judge, output, format)
    warn(warnings)
    if json:
        from selector.reports.objects import as_json

        print(as_json({"figures": pictures}))
    else:
        for picture in pictures:
            print(picture["file"])
    return 0
