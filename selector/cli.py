"""The command `selector`: each subcommand a plain function. Results go to stdout, all else to stderr."""

import io
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from selector.argument_forms import fail
from selector.command_line import parse_command
from selector.errors import UserError
from selector.evaluation.metrics import (
    LABEL_FREE_PREFIX,
    LABELLED_PREFIX,
    METRICS,
    Direction,
    LabelFreeMetric,
    LabelledMetric,
    declared_label_free,
    declared_labelled,
    label_free_metric,
    labelled_metric,
)
from selector.reports.tables import open_console, print_metrics, print_ranking
from selector.runs.run import RunSet
from selector.selection.candidates import MilestoneChoice
from selector.selection.ranking import Ranking
from selector.selection.ranking import rank as rank_runs
from selector.text import nearest, printable

Source = Annotated[str, tyro.conf.arg(metavar="SOURCE")]
Name = Annotated[str, tyro.conf.arg(metavar="NAME")]
Names = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME …")]
Epoch = Annotated[str, tyro.conf.arg(metavar="last|EPOCH")]
File = Annotated[Path, tyro.conf.arg(metavar="FILE")]


def rank(
    source: Source,
    /,
    *,
    metric: Name = "rankme",
    milestone: Epoch = "last",
    direction: Literal["max", "min"] | None = None,
    allow_mixed: bool = False,
    json: bool = False,
) -> int:
    """Rank the runs of a sweep by a label-free metric; no label is read.

    Args:
        source: A folder of offline runs, entity/project/sweep_id, or the URL of a W&B sweep or project.
        metric: A label-free metric (`selector metrics` lists them), or any key that the runs logged; such a
            key needs a direction, and only you know whether labels went into it.
        milestone: The epoch to compare at, or last: each run's last one.
        direction: Which way is better; None takes the metric's own, for the method of the runs.
        allow_mixed: Rank runs in one list that the metric may not compare, at your own risk.
        json: Print one JSON object.
    """
    chosen, epoch = _label_free(metric, direction, "selector rank"), _milestone(milestone, "selector rank")
    ranking = rank_runs(_read(source), chosen, epoch, allow_mixed, direction)
    _warn(ranking.warnings)
    if json:
        from selector.reports.objects import as_json, ranking_object

        print(as_json(ranking_object(ranking)))
    else:
        print_ranking(ranking, open_console())
    return 0


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
    json: bool = False,
) -> int:
    """Say what choosing by label-free metrics cost in accuracy, against the best run and against chance.

    Args:
        source: A folder of offline runs, entity/project/sweep_id, or the URL of a W&B sweep or project.
        metric: Label-free metrics, or keys that the runs logged; without this option all of ours that the
            runs hold.
        oracle: The labelled metric that judges, or a key that the runs logged; read at the last milestone.
        oracle_direction: Which way is better for an oracle that is a key of your own.
        milestone: The epoch that the metrics choose at, or last.
        direction: Which way is better for the metrics; None takes each metric's own.
        allow_mixed: Choose among runs that may not be compared, at your own risk.
        default_run: Run whose configuration is the default that one would train without a sweep; None takes
            the paper's recipe.
        json: Print one JSON object.
    """
    from selector.selection.regret import regret as judge_choices

    prog = "selector regret"
    named = [_label_free(name, direction, prog) for name in dict.fromkeys(metric)]
    judge = _labelled(oracle, oracle_direction, prog)
    epoch = _milestone(milestone, prog)
    runs = _read(source)
    report = judge_choices(
        runs, named or _held(runs), judge, epoch, allow_mixed, direction, _config_of(default_run, runs)
    )
    _warn(report.warnings)
    if json:
        from selector.reports.objects import as_json, regret_object

        print(as_json(regret_object(report)))
    else:
        from selector.reports.regret_tables import print_regret

        print_regret(report, open_console())
    return 0


def correlate(
    source: Source,
    /,
    *,
    metric: Names = (),
    oracle: Name = "linear_probe_accuracy",
    published: bool = False,
    json: bool = False,
    csv: bool = False,
    latex: bool = False,
) -> int:
    """Say how well each metric follows the accuracy while a network trains: the paper's Table I.

    Args:
        source: A folder of offline runs, entity/project/sweep_id, or the URL of a W&B sweep or project.
        metric: Metrics with labels or without, or keys that the runs logged; without this option all of ours
            that the runs hold.
        oracle: The labelled metric to hold them against, or a key that the runs logged.
        published: Print the paper's figures beside these.
        json: Print one JSON object.
        csv: Print a line for each run, metric and data set.
        latex: Print the table as LaTeX.
    """
    from selector.selection.milestone_correlation import correlate_milestones

    prog = "selector correlate"
    if json + csv + latex > 1:
        fail(prog, "give one of --json, --csv and --latex")
    named = [_any_metric(name) for name in dict.fromkeys(metric)]
    report = correlate_milestones(_read(source), _labelled(oracle, "max", prog), named)
    _warn(report.warnings)
    if json:
        from selector.reports.correlation_exports import correlations_object
        from selector.reports.objects import as_json

        print(as_json(correlations_object(report, published)))
    elif csv or latex:
        from selector.reports.correlation_exports import correlations_csv, correlations_latex

        print((correlations_csv if csv else correlations_latex)(report, published), end="")
    else:
        from selector.reports.correlation_tables import print_correlations

        print_correlations(report, open_console(), published)
    return 0


def best(
    source: Source,
    /,
    *,
    metric: Name = "rankme",
    milestone: Epoch = "last",
    direction: Literal["max", "min"] | None = None,
    allow_mixed: bool = False,
    output: Path | None = None,
    json: bool = False,
) -> int:
    """Hand over the best run: hyperparameters as YAML, the command that repeats it, its checkpoint.

    Args:
        source: A folder of offline runs, entity/project/sweep_id, or the URL of a W&B sweep or project.
        metric: A label-free metric, or any key that the runs logged; such a key needs a direction.
        milestone: The epoch to choose at, or last.
        direction: Which way is better; None takes the metric's own, for the method of the runs.
        allow_mixed: Choose among runs that may not be compared, at your own risk.
        output: File to write the hyperparameters to; None prints them.
        json: Print one JSON object.
    """
    from selector.reports.best import best_object, best_of, best_yaml, checkpoint_line

    chosen, epoch = _label_free(metric, direction, "selector best"), _milestone(milestone, "selector best")
    ranking = rank_runs(_read(source), chosen, epoch, allow_mixed, direction)
    _warn(ranking.warnings)
    winners = [best_of(group) for group in ranking.groups]
    if output is not None:
        _write(output, [best_yaml(winner, ranking) for winner in winners], ranking)
    if json:
        from selector.reports.objects import as_json

        written = str(output) if output else None
        print(as_json({"best": [best_object(winner, ranking) for winner in winners], "output": written}))
    elif output is None:
        print("---\n".join(best_yaml(winner, ranking) for winner in winners), end="")
    else:
        print(f"best: {printable(winners[0].run.id)}, written to {output}")
        print(f"repeat it: {winners[0].command or 'it is not a run of train.py'}")
        print(f"checkpoint: {printable(checkpoint_line(winners[0]))}")
    return 0


def sweep(
    file: File,
    /,
    *,
    count: int | None = None,
    directory: Path | None = None,
    jobs: int = 1,
    seed: int | None = None,
) -> int:
    """Run a W&B sweep file on this machine, without a server; a second call goes on where the first stopped.

    Args:
        file: A W&B sweep file.
        count: Runs in all, over all calls; None: what the file says.
        directory: Sweep folder for runs, logs and checkpoints; None: sweep-<name of the file>, or where the
            file lies if that is a sweep folder.
        jobs: Runs at the same time; they share the cores.
        seed: Seed of the search; None: that of an earlier call, else 0.
    """
    from selector.reports.sweep_progress import SweepBar
    from selector.sweeping.local_agent import run_sweep

    beside = file.parent if (file.parent / "ledger.json").exists() else Path(f"sweep-{file.stem}")
    where = directory or beside
    with SweepBar() as bar:
        progress = run_sweep(file, where, count, jobs, seed, reporter=bar)
    print(f"{progress.done} runs done, {progress.failed} failed in {printable(str(where))}")
    print(f"next: selector rank {shlex.quote(printable(str(where)))}")
    return 1 if progress.failed else 0


def metrics(*, json: bool = False) -> int:
    """List the metrics: what each means, which way is better, where it comes from.

    Args:
        json: Print one JSON object.
    """
    if json:
        from dataclasses import asdict

        from selector.reports.objects import as_json

        rows = [{"key": m.key, "labels": isinstance(m, LabelledMetric), **asdict(m)} for m in METRICS]
        print(as_json({"metrics": rows}))
    else:
        print_metrics(METRICS, open_console())
    return 0


def demo(*, directory: Path = Path("selector-demo")) -> int:
    """Train a small sweep on real images, rank it without labels, and say what the choice cost.

    Args:
        directory: Sweep folder; a second call with the same one goes on where the first stopped.
    """
    from selector.demo import demo as show

    status: int = show(directory)
    return status


COMMANDS: dict[str, Callable[..., int]] = {
    "demo": demo,
    "sweep": sweep,
    "rank": rank,
    "regret": regret,
    "correlate": correlate,
    "best": best,
    "metrics": metrics,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `selector`; the exit status: 0 done, 1 the request cannot be met, 2 wrong usage."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if argv == ["--version"]:
        print(f"selector {version('ssl-sweep-selector')}")
        return 0
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ρ or ▂ shows ?
    command = parse_command(
        COMMANDS, argv, "selector", "Pick the best run of a self-supervised sweep without labels."
    )
    try:
        status = command()
        sys.stdout.flush()
        return status
    except UserError as error:
        print(f"selector: {' '.join(printable(str(error)).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("selector: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _read(source: str) -> RunSet:
    from selector.runs.source import read_source

    return read_source(source)


def _label_free(name: str, direction: Direction | None, prog: str) -> LabelFreeMetric:
    """A metric of the table, or a key of other people's runs with the direction that they gave."""
    try:
        return label_free_metric(name)
    except UserError as error:
        if name.startswith(LABELLED_PREFIX) or name in {m.name for m in METRICS}:
            fail(
                prog,
                f"'{name}' reads labels, and choosing must not: `selector metrics` lists what may be used",
            )
        if name.startswith(LABEL_FREE_PREFIX) or direction is None:
            fail(prog, f"{error}; a key of your own runs needs --direction max or min")
        return declared_label_free(name, direction)


def _labelled(name: str, direction: Direction, prog: str) -> LabelledMetric:
    """A metric of the table, or a key of other people's runs by which they judge."""
    try:
        return labelled_metric(name)
    except UserError as error:
        if name.startswith((LABELLED_PREFIX, LABEL_FREE_PREFIX)):
            fail(prog, str(error))
        return declared_labelled(name, direction)


def _any_metric(name: str) -> LabelFreeMetric | LabelledMetric:
    """A metric of the table, or a key of other people's runs; which way is better does not matter."""
    known = {known.name: known for known in METRICS} | {known.key: known for known in METRICS}
    return known.get(name) or declared_label_free(name, "max")


def _held(runs: RunSet) -> list[LabelFreeMetric]:
    """Metrics of the table that some run logged."""
    keys = {key for run in runs.runs for row in run.milestones for key in row.values}
    held = [metric for metric in METRICS if isinstance(metric, LabelFreeMetric) and metric.key in keys]
    if not held:
        raise UserError(
            f"the {len(runs.runs)} runs in {runs.source} logged none of our label-free metrics:"
            " name their own keys with --metric KEY --direction max or min"
        )
    return held


def _milestone(text: str, prog: str) -> MilestoneChoice:
    if text == "last":
        return "last"
    if not text.lstrip("-").isdecimal():
        fail(prog, f"--milestone wants last or an epoch, got '{text}'")
    return int(text)


def _config_of(id: str | None, runs: RunSet) -> dict[str, Any] | None:
    if id is None:
        return None
    for run in runs.runs:
        if run.id == id:
            return dict(run.config)
    hint = nearest(id, [run.id for run in runs.runs])
    raise UserError(f"{runs.source} holds no run '{id}'{hint}")


def _write(output: Path, documents: Sequence[str], ranking: Ranking) -> None:
    if len(documents) > 1:
        raise UserError(
            f"{output} is one file, but {len(documents)} groups of runs cannot be compared by"
            f" {ranking.metric.name}: leave out --output to see the best of each"
        )
    try:
        output.write_text(documents[0], encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}") from error


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(f"selector: warning: {printable(warning)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
