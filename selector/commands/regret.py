"""`selector regret`."""

from functools import partial
from typing import Literal

from selector.commands.arguments import Comparison, Json, Name, Names, Runs, runs_named, show, warn
from selector.text import counted


def regret(
    runs: Runs,
    comparison: Comparison = Comparison(),  # noqa: B008 - frozen
    *,
    metric: Names = (),
    oracle: Name = "linear_probe_accuracy",
    oracle_direction: Literal["max", "min"] = "max",
    default_run: str | None = None,
    json: Json = False,
) -> int:
    """Say what choosing by label-free metrics cost in accuracy, against the best run and against chance.

    Args:
        metric: Label-free metrics, or keys that the runs logged; by default, the consensus and all built-in
            metrics that the runs logged.
        oracle: The labelled metric that judges, or a key that the runs logged; read at the last milestone.
        oracle_direction: Which way is better, if the oracle is a key of your own.
        default_run: Run whose configuration you would have trained without a sweep; None uses the paper's
            recipe.
    """
    from selector.commands.encoders import fingerprints_in
    from selector.commands.named import held_metrics, keys_of, named_label_free, named_labelled
    from selector.metrics import METRICS
    from selector.reports.objects import regret_object
    from selector.reports.progress import progress
    from selector.reports.regret_tables import print_regret
    from selector.selection.consensus import CONSENSUS
    from selector.selection.preparation import prepared
    from selector.selection.regret import regret as judge_choices

    how = (comparison.epoch, comparison.allow_mixed, comparison.direction)
    named = [named_label_free(name, comparison.direction) for name in dict.fromkeys(metric)]
    judge = named_labelled(oracle, oracle_direction)
    keys = {judge.key, *(key for one in named for key in keys_of(one))}
    if not named:
        keys |= {one.key for one in METRICS}
    found = runs.read(keys, spectra=True)  # with the images that each probe got right
    prints = fingerprints_in(runs.sources)
    found, chosen = prepared(found, named or [CONSENSUS], *how[:2], fingerprint_of=prints)
    metrics = chosen if named else held_metrics(found)
    default = dict(runs_named([default_run], found)[0].config) if default_run is not None else None
    what = f"{counted(len(found.runs), 'run')}: weighing the choice by each metric"
    with progress(runs.quiet) as show_step:
        show_step(what, 0, None)
        report = judge_choices(
            found,
            metrics,
            judge,
            *how,
            default,
            partial(show_step, what),
            comparison.seed_key,
        )
    warn(report.warnings)
    return show(json, regret_object(report), lambda console: print_regret(report, console))
