"""`selector report`."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from selector.commands.arguments import Choice, File, Name, Runs, warn
from selector.errors import UsageError, UserError, writing
from selector.text import counted, nearest, printable

if TYPE_CHECKING:
    from selector.reports.report import Report
    from selector.runs import RunSet

DEFAULT_ORACLE = "linear_probe_accuracy"


def report(
    runs: Runs,
    choice: Choice = Choice(),  # noqa: B008 - frozen
    *,
    oracle: Name = DEFAULT_ORACLE,
    oracle_direction: Literal["max", "min"] = "max",
    judged: File | None = None,
    output: Path = Path("report.html"),
    wandb: bool = False,
) -> int:
    """Write one self-contained HTML page: the pick, how sure it is, what it cost, and what to do next.

    Args:
        oracle: The labelled metric that judges, or a key that the runs logged; without labels, the page
            leaves out what they would show.
        oracle_direction: Which way is better, if the oracle is a key of your own.
        judged: File that `selector judge --json` wrote from labels that came later; the page shows it.
        output: File to write.
        wandb: Make a report in W&B instead, in the runs' own project, with panels that draw from the runs;
            needs the extra wandb-report.
    """
    from selector.commands.encoders import fingerprints_in
    from selector.commands.named import named_labelled
    from selector.reports.late_labels import read_judgements, with_judgements
    from selector.reports.photos import with_photos
    from selector.reports.progress import progress
    from selector.reports.report import report_of
    from selector.selection.preparation import prepared

    if wandb:
        _check_wandb(runs.source)
    late = read_judgements(judged) if judged else []
    metric, epoch = choice.named_metric, choice.epoch
    judge = named_labelled(oracle, oracle_direction)
    found = runs.read(spectra=not wandb)
    prints = fingerprints_in(runs.sources)
    with progress(runs.quiet) as show_step:
        found, (metric,) = prepared(found, [metric], epoch, choice.allow_mixed, fingerprint_of=prints)
        size = counted(len(found.runs), "run")
        what = f"[2/3] {size}: ranking, weighing the choice by each metric"
        show_step(what, 0, None)
        page = report_of(
            found,
            metric,
            judge,
            epoch,
            choice.allow_mixed,
            choice.direction,
            choice.by,
            choice.seed_key,
            partial(show_step, what),
        )
        if judged:
            page = with_judgements(page, late, judged)
        page = replace(page, sources=runs.sources, options=choice.options(runs))
        if not wandb:
            show_step("[3/3] comparing neighbours, and writing", 0, None)
            page = with_photos(page)
        if wandb:
            from selector.reports.wandb_report import save_report

            done = f"{printable(save_report(runs.source, page))}: the report in W&B"
        else:
            done = _write_page(page, output)
    warn([*page.warnings, *_unknown_oracle(oracle, judge.key, found)])
    print(done)
    return 0


def _unknown_oracle(name: str, key: str, runs: "RunSet") -> list[str]:
    """Runs without labels are what the page is for; an oracle that was named and is nowhere is a mistake."""
    keys = {key for run in runs.runs for row in run.milestones for key in row.values}
    if name == DEFAULT_ORACLE or key in keys:
        return []
    return [f"no run logged {key}{nearest(key, keys)}: the page says nothing about labels"]


def _write_page(found: "Report", output: Path) -> str:
    from selector.reports.html import page_of

    page = page_of(found)
    with writing(output):
        output.write_text(page, encoding="utf-8")
    return f"{printable(str(output))} ({len(page.encode()) / 1e6:.1f} MB): open it in a browser"


def _check_wandb(source: str) -> None:
    """Stops before anything is read where a report in W&B cannot be made."""
    from importlib.util import find_spec

    from selector.runs import is_online
    from selector.tracking.connection import SILENT_MODES

    if find_spec("wandb_workspaces") is None:
        raise UsageError("--wandb needs wandb-workspaces: pip install 'ssl-sweep-selector[wandb-report]'")
    if not is_online(source):
        raise UserError(
            f"--wandb needs runs on a W&B server, but {source} is a folder or a file:"
            " `wandb sync` uploads its runs"
        )
    if (mode := os.environ.get("WANDB_MODE", "")) in SILENT_MODES:
        raise UserError(f"nothing is sent to W&B while WANDB_MODE is {mode}: unset it, or leave out --wandb")
