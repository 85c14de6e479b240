"""`selector judge`."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

from selector.commands.arguments import Choice, Device, Json, Runs, show, warn
from selector.errors import UsageError, UserError
from selector.ranges import Shown

Labels = Annotated[Path, Shown("DIR|FILE.csv")]


def judge(
    runs: Runs,
    choice: Choice = Choice(),  # noqa: B008 - frozen
    *,
    labelled: Labels,
    device: Device = "auto",
    json: Json = False,
) -> int:
    """Say what the choice cost, using labels that came later: probe the last checkpoint of every ranked run.

    Args:
        labelled: A folder with a sub-folder per class, or a CSV file of (file name, label).
    """
    from selector.commands.encoders import encoder_of_run
    from selector.reports.late_labels import print_judgements
    from selector.reports.progress import progress
    from selector.selection.judging import judge as judge_runs
    from selector.training.embed_files import embed_files
    from selector.training.late_labels import knn_accuracy, probed, read_labelled
    from selector.training.processes import device_named

    if choice.epoch != "last":
        raise UsageError("judge probes the last checkpoint of each run: leave out --milestone")
    images = read_labelled(labelled)
    _, ranking = choice.rank(runs)
    warnings = list(ranking.warnings)
    where, judgements = device_named(device), []
    with progress(runs.quiet) as show_step:
        for group in ranking.groups:
            right, knn, names = {}, {}, {}
            for number, ranked in enumerate(group.ranking, start=1):
                run = ranked.run
                head = f"[{number}/{len(group.ranking)}] {run.id}:"
                try:
                    encode = encoder_of_run(run, runs.sources).to(where)
                except UserError as error:
                    if run is group.chosen:
                        raise
                    warnings.append(f"run {run.id} is left out: {error}")
                    continue
                say = partial(show_step, f"{head} embedding")
                found = embed_files(encode, images.files, 64, skip_bad=False, progress=say)
                show_step(f"{head} probing", 0, None)
                right[run.id] = probed(found.features, images.labels)
                knn[run.id] = knn_accuracy(found.features, images.labels)
                names[run.id] = run.name
            judgements.append(judge_runs(right, knn, names, group.chosen.id))
    warn(warnings)
    content = {
        "labels": len(images.files),
        "classes": list(images.classes),
        "metric": ranking.metric.name,
        "groups": [asdict(one) for one in judgements],
        "warnings": warnings,
    }
    return show(json, content, lambda console: print_judgements(judgements, ranking.metric.name, console))
