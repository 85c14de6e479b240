"""`selector evaluate`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from selector.commands.arguments import Device, Json, Names, Quiet, Runs, runs_named, show, warn
from selector.errors import UsageError
from selector.ranges import Shown

Targets = Annotated[tuple[str, ...], Shown("CHECKPOINT…|SOURCE")]


def evaluate(
    targets: Targets,
    /,
    *,
    run: Names = (),
    all: bool = False,
    data_dir: str | None = None,
    probe: Literal["paper", "fast", "none"] | None = None,
    device: Device = "auto",
    dry_run: bool = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Compute metrics for the stored milestones of finished runs, without training again.

    For checkpoints, the metrics are printed. For a SOURCE, the metrics that its runs' milestones lack are
    added to the runs, such as those new in this version; milestone 0 is rebuilt from the run's seed.

    Args:
        targets: Checkpoints of train.py (milestone-*.ckpt), or one SOURCE: a folder of offline runs,
            entity/project/sweep_id, or the URL of a W&B sweep or project.
        run: Only these runs of the SOURCE, by id.
        all: Recompute all metrics of all stored milestones, not only of those that lack one.
        data_dir: Folder that holds the data set, if it has moved since the run was trained.
        probe: For checkpoints: use this linear probe instead of the run's own.
        dry_run: Show what would be added to the runs, but add nothing.
    """
    checkpoints = [name for name in targets if name.endswith(".ckpt")]
    if checkpoints and len(checkpoints) < len(targets):
        raise UsageError("name either checkpoints or one SOURCE, not both")
    if not checkpoints and len(targets) > 1:
        raise UsageError(
            f"name one SOURCE, or checkpoints whose names end in .ckpt; got {len(targets)} sources"
        )
    if checkpoints and run:
        raise UsageError("--run chooses among the runs of a SOURCE, but checkpoints were named")
    if not checkpoints and probe is not None:
        raise UsageError("--probe works only with checkpoints: all figures of one run come from one probe")
    if checkpoints:
        return _evaluate_checkpoints(checkpoints, data_dir, probe, device, quiet, json)
    return _evaluate_runs(targets[0], run, all, data_dir, device, dry_run, quiet, json)


def _evaluate_checkpoints(
    names: list[str], data_dir: str | None, probe: Any, device: str, quiet: bool, json: bool
) -> int:
    from selector.reports.evaluation_tables import checkpoint_object, print_checkpoints
    from selector.reports.progress import progress
    from selector.training.after_training import Evaluator
    from selector.training.processes import device_named
    from selector.training.stored import read_stored

    evaluator = Evaluator(data_dir, probe, device_named(device))
    results = []
    unique = list(dict.fromkeys(names))
    with progress(quiet) as show_step:
        for done, name in enumerate(unique):
            show_step(f"evaluating {name}", done, len(unique))
            stored = read_stored(Path(name))
            found = evaluator.trained(stored)
            results.append((stored, found.milestone, found.definition))
    content = {"checkpoints": [checkpoint_object(*result) for result in results]}
    rows = [(stored, row) for stored, row, _ in results]
    return show(json, content, lambda console: print_checkpoints(rows, console))


def _evaluate_runs(
    source: str,
    ids: tuple[str, ...],
    every: bool,
    data_dir: str | None,
    device: str,
    dry_run: bool,
    quiet: bool,
    json: bool,
) -> int:
    runs = Runs((source,), quiet=quiet).read(spectra=True)
    chosen = runs_named(ids, runs) or list(runs.runs)
    where = _server(source)

    from selector.reports.evaluation_tables import added_object, print_added
    from selector.reports.progress import progress
    from selector.training.after_training import Evaluator, folder_of, missing_metrics
    from selector.training.processes import device_named

    evaluator = Evaluator(data_dir, None, device_named(device))
    results = []
    with progress(quiet) as show_step:
        for done, one in enumerate(chosen):
            show_step(f"evaluating {one.id}", done, len(chosen))
            added = missing_metrics(one, evaluator, every)
            if added.rows and not dry_run:
                from selector.tracking.log import add_metrics

                add_metrics(one, folder_of(one), list(added.rows.values()), where)
            results.append(added)
    warn(runs.warnings)
    content = {"added": not dry_run, "runs": [added_object(one) for one in results]}
    return show(json, content, lambda console: print_added(results, console, dry_run))


def _server(source: str) -> dict[str, str]:
    """Owner and project of runs on a server; nothing for a folder."""
    from selector.runs import is_online

    if not is_online(source):
        return {}
    from selector.tracking.connection import find

    place = find(source).place
    return {"entity": place.entity, "project": place.project}
