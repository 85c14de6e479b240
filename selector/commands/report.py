"""`selector report`."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from selector.argument_forms import fail
from selector.commands.arguments import (
    Epoch,
    Group,
    Name,
    Source,
    Tag,
    choosing_options,
    milestone_choice,
    named_label_free,
    named_labelled,
    read_runs,
    warn,
)
from selector.errors import UserError, writing
from selector.text import nearest, printable
from selector.tracking.wandb_modes import SILENT_MODES

if TYPE_CHECKING:
    from selector.reports.report import Report
    from selector.runs import RunSet

DEFAULT_ORACLE = "linear_probe_accuracy"


def report(
    source: Source,
    /,
    *,
    metric: Name = "consensus",
    oracle: Name = DEFAULT_ORACLE,
    oracle_direction: Literal["max", "min"] = "max",
    milestone: Epoch = "last",
    direction: Literal["max", "min"] | None = None,
    allow_mixed: bool = False,
    output: Path = Path("report.html"),
    wandb: bool = False,
    tag: Tag = None,
    group: Group = None,
    quiet: bool = False,
) -> int:
    """Write one self-contained HTML page: the pick, how sure, what it cost, and what to do next.

    Args:
        source: A folder of offline runs, entity/project/sweep_id, or the URL of a W&B sweep or project.
        metric: The label-free metric that chooses, or any key that the runs logged; such a key needs a
            direction. The consensus is the mean rank by three metrics, or rankme where most runs lack
            one.
        oracle: The labelled metric that judges, or a key that the runs logged; without labels its parts of
            the page are absent.
        oracle_direction: Which way is better for an oracle that is a key of your own.
        milestone: The epoch to choose at, or last.
        direction: Which way is better for the metric; None takes its own.
        allow_mixed: Compare runs that may not be compared, at your own risk.
        output: File to write.
        wandb: Instead of a file, make a report in the W&B project of the runs, which W&B draws from the runs
            themselves; each call makes a new one. Needs the extra wandb-report.
        tag: Only runs that carry this W&B tag.
        group: Only runs of this W&B group.
        quiet: Show no progress; warnings still come.
    """
    from selector.reports.report import report_of
    from selector.reports.step_line import StepLine
    from selector.selection.consensus import prepared

    prog = "selector report"
    if wandb:
        _check_wandb(source, prog)
    chosen = named_label_free(metric, direction, prog)
    judge = named_labelled(oracle, oracle_direction, prog)
    epoch = milestone_choice(milestone, prog)
    runs = read_runs(source, spectra=not wandb, tag=tag, group=group, quiet=quiet)
    with StepLine(quiet) as line:
        runs, chosen = prepared(runs, chosen, epoch, allow_mixed)
        what = f"[2/3] {len(runs.runs)} runs: ranking, and weighing what the choice by each metric cost"
        line(what)
        found = report_of(
            runs, chosen, judge, epoch, allow_mixed, direction,
            lambda done, total: line(f"{what}, {done} of {total}"),
        )  # fmt: skip
        found = replace(found, options=choosing_options(epoch, direction, allow_mixed, tag, group))
        line("[3/3] writing")
        done = _save_report(source, found) if wandb else _write_page(found, output)
    warn([*found.warnings, *_unknown_oracle(oracle, judge.key, runs)])
    print(done)
    return 0


def _unknown_oracle(name: str, key: str, runs: "RunSet") -> list[str]:
    """Runs without labels are what the page is for; an oracle that was named and is nowhere is a mistake."""
    keys = {key for run in runs.runs for row in run.milestones for key in row.values}
    if name == DEFAULT_ORACLE or key in keys:
        return []
    return [f"no run logged {key}{nearest(key, keys)}: the page says nothing of labels"]


def _write_page(found: "Report", output: Path) -> str:
    from selector.reports.html import page_of

    page = page_of(found)
    with writing(output):
        output.write_text(page, encoding="utf-8")
    return f"{printable(str(output))} ({len(page.encode()) / 1e6:.1f} MB): open it in a browser"


def _check_wandb(source: str, prog: str) -> None:
    """Stops before anything is read where a report in W&B cannot be made."""
    from importlib.util import find_spec

    from selector.runs import is_online

    if find_spec("wandb_workspaces") is None:
        fail(prog, "--wandb needs wandb-workspaces: pip install 'ssl-sweep-selector[wandb-report]'")
    if not is_online(source):
        raise UserError(
            f"--wandb needs runs on a W&B server, and {source} is a folder or a file:"
            " `wandb sync` puts its runs there"
        )
    if (mode := os.environ.get("WANDB_MODE", "")) in SILENT_MODES:
        raise UserError(f"nothing is sent to W&B while WANDB_MODE is {mode}: unset it, or leave out --wandb")


def _save_report(source: str, found: "Report") -> str:
    from selector.reports.wandb_report import save_report
    from selector.reports.wandb_report_rows import wandb_report_of

    return f"{printable(save_report(source, wandb_report_of(found)))}: the report in W&B"
