"""`selector figures`."""

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Literal

from selector.commands.arguments import (
    Group,
    Name,
    Names,
    Source,
    Tag,
    named_labelled,
    named_metric,
    read_runs,
    warn,
)
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
    """Draw metrics over training beside the accuracy, a picture a run: the paper's Figures 2 to 4.

    Milestones whose embedding has outliers are marked.

    Args:
        source: A folder of offline runs, entity/project/sweep_id, or the URL of a W&B sweep or project.
        output: Folder for the pictures.
        metric: Metrics of ours, or keys that the runs logged.
        oracle: The labelled metric beside them, or a key that the runs logged; absent without labels.
        run: Only these runs, by id.
        format: What the files are.
        quiet: Show no progress; warnings still come.
        json: Print the rows of the pictures as one JSON object.
        tag: Only runs that carry this W&B tag.
        group: Only runs of this W&B group.
    """
    from selector.reports.figure_rows import courses
    from selector.reports.training_figure import draw_course

    drawn = [named_metric(name) for name in dict.fromkeys(metric)]
    if not drawn:
        raise UsageError("--metric needs a name")
    judge = named_labelled(oracle, "max")
    runs = read_runs(source, tag=tag, group=group, quiet=quiet)
    ids = [one.id for one in runs.runs]
    if unknown := [id for id in run if id not in ids]:
        raise UserError(f"{runs.source} holds no run '{unknown[0]}'{nearest(unknown[0], ids)}")
    if run:
        from dataclasses import replace

        runs = replace(runs, runs=tuple(one for one in runs.runs if one.id in run))
    pictures, warnings, taken = [], [], set[Path]()
    for one in drawn:
        found, said = courses(runs, one, judge)
        warnings += said
        for course in found:
            stem = f"{_file_name(course.run)}-{_file_name(one.name)}"
            path = next(path for path in _paths(output, stem, format) if path not in taken)
            taken.add(path)
            draw_course(course, one, judge, path)
            pictures.append((path, one, course))
    warn(list(dict.fromkeys(warnings)))
    if json:
        from selector.reports.figure_rows import course_object
        from selector.reports.objects import as_json

        print(as_json({"figures": [course_object(course, one, path) for path, one, course in pictures]}))
    else:
        for path, _, _ in pictures:
            print(path)
    return 0


def _paths(folder: Path, stem: str, suffix: str) -> Iterator[Path]:
    """Names for a file, the best one first: different ids can be alike as file names."""
    yield folder / f"{stem}.{suffix}"
    yield from (folder / f"{stem}-{number}.{suffix}" for number in count(2))


def _file_name(text: str) -> str:
    """A run's id or a metric's name as part of a file name: names from a server are no paths."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:100]
