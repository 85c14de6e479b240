"""`selector regret`."""

from typing import Any, Literal

from selector.commands.arguments import (
    Epoch,
    Group,
    Name,
    Names,
    Source,
    Tag,
    held_metrics,
    keys_of,
    milestone_choice,
    named_label_free,
    named_labelled,
    read_runs,
    warn,
)
from selector.errors import UserError
from selector.metrics.metrics import METRICS
from selector.runs import RunSet
from selector.selection.consensus import CONSENSUS, prepared
from selector.text import nearest


def regret(
    source: Source,
    /,
    *,
    metric: Names = (),
    oracle: Name = "linear_probe_accuracy",
    oracle_direction: Literal["max", "min"] = "max",
    milestone: Epoch = "last",
    direction: Literal["max", "min"] | None = None,
    allow_mixed: bool = False,
    default_run: str | None = None,
    tag: Tag = None,
    group: Group = None,
    quiet: bool = False,
    json: bool = False,
) -> int:
    """Say what choosing by label-free metrics cost in accuracy, against the best run and against chance.

    Args:
        source: A folder of offline runs, entity/project/sweep_id, entity/project, or the URL of a W&B sweep
            or project.
        metric: Label-free metrics, or keys that the runs logged; without this option the consensus and all
            of ours that the runs hold.
        oracle: The labelled metric that judges, or a key that the runs logged; read at the last milestone.
        oracle_direction: Which way is better for an oracle that is a key of your own.
        milestone: The epoch that the metrics choose at, or last.
        direction: Which way is better for the metrics; None takes each metric's own.
        allow_mixed: Choose among runs that may not be compared, at your own risk.
        default_run: Run whose configuration is the default that one would train without a sweep; None takes
            the paper's recipe.
        tag: Only runs that carry this W&B tag.
        group: Only runs of this W&B group.
        quiet: Show no progress; warnings still come.
        json: Print one JSON object.
    """
    from selector.reports.step_line import StepLine
    from selector.selection.regret import regret as judge_choices

    prog = "selector regret"
    named = [named_label_free(name, direction, prog) for name in dict.fromkeys(metric)]
    judge = named_labelled(oracle, oracle_direction, prog)
    epoch = milestone_choice(milestone, prog)
    keys = {judge.key, *(key for metric in named for key in keys_of(metric))}
    if not named:
        keys |= {metric.key for metric in METRICS}
    runs = read_runs(source, tag=tag, group=group, keys=keys, quiet=quiet)
    if not named or CONSENSUS in named:
        runs, default_metric = prepared(runs, CONSENSUS, epoch, allow_mixed)
        named = [default_metric if metric is CONSENSUS else metric for metric in named]
    metrics, default = named or held_metrics(runs), _config_of(default_run, runs)
    with StepLine(quiet) as line:
        what = f"{len(runs.runs)} runs: weighing what the choice by each metric cost"
        line(what)
        report = judge_choices(
            runs, metrics, judge, epoch, allow_mixed, direction, default,
            lambda done, total: line(f"{what}, {done} of {total}"),
        )  # fmt: skip
    warn(report.warnings)
    if json:
        from selector.reports.objects import as_json, regret_object

        print(as_json(regret_object(report)))
    else:
        from selector.reports.regret_tables import print_regret
        from selector.reports.tables import open_console

        print_regret(report, open_console())
    return 0


def _config_of(id: str | None, runs: RunSet) -> dict[str, Any] | None:
    if id is None:
        return None
    for run in runs.runs:
        if run.id == id:
            return dict(run.config)
    hint = nearest(id, [run.id for run in runs.runs])
    raise UserError(f"{runs.source} holds no run '{id}'{hint}")
