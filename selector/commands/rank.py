"""`selector rank`."""

from typing import TYPE_CHECKING, Any, Literal

from selector.argument_forms import fail
from selector.commands.arguments import (
    Epoch,
    Group,
    Name,
    Source,
    Tag,
    keys_of,
    milestone_choice,
    named_label_free,
    read_runs,
    warn,
)
from selector.text import printable

if TYPE_CHECKING:
    from selector.reports.report import Report
    from selector.runs import RunSet
    from selector.selection.ranking import Ranking
    from selector.selection.regret import RegretReport


def rank(
    source: Source,
    /,
    *,
    metric: Name = "consensus",
    milestone: Epoch = "last",
    direction: Literal["max", "min"] | None = None,
    allow_mixed: bool = False,
    tag: Tag = None,
    group: Group = None,
    write_back: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    json: bool = False,
) -> int:
    """Rank the runs of a sweep by label-free metrics; no label is read.

    Args:
        source: A folder of offline runs, entity/project/sweep_id, entity/project, or the URL of a W&B sweep
            or project.
        metric: A label-free metric (`selector metrics` lists them), or any key that the runs logged; such a
            key needs a direction, and only you know whether labels went into it. The consensus is the mean
            rank by three metrics; where most runs lack one it is rankme instead.
        milestone: The epoch to compare at, or last: each run's last one.
        direction: Which way is better; None takes the metric's own, for the method of the runs.
        allow_mixed: Rank runs in one list that the metric may not compare, at your own risk.
        tag: Only runs that carry this W&B tag.
        group: Only runs of this W&B group.
        write_back: Note in W&B what was chosen: rank, score and pick of each run in its summary, the tag
            label-free-best on the winner alone and as an alias on its checkpoint, and the ranking as a table
            and the report's charts in a run of job type selection, beside the regret where the runs know
            their accuracy. A second call with the same outcome changes nothing.
        dry_run: With --write-back: say what would be written, and send nothing.
        quiet: Show no progress; warnings still come.
        json: Print one JSON object.
    """
    from selector.selection.consensus import prepared
    from selector.selection.ranking import rank as rank_runs

    prog = "selector rank"
    chosen, epoch = named_label_free(metric, direction, prog), milestone_choice(milestone, prog)
    if dry_run and not write_back:
        fail(prog, "--dry-run belongs to --write-back: ranking alone changes nothing")

    def read_and_rank() -> "tuple[RunSet, Ranking]":
        runs = read_runs(source, tag=tag, group=group, keys=keys_of(chosen), spectra=write_back, quiet=quiet)
        runs, metric_of_these = prepared(runs, chosen, epoch, allow_mixed)
        return runs, rank_runs(runs, metric_of_these, epoch, allow_mixed, direction)

    notes: list[str] = []
    more: dict[str, Any] = {}
    if write_back:
        from selector.commands.writing_back import rank_and_write
        from selector.metrics.metrics import labelled_metric
        from selector.reports.report import report_of
        from selector.selection.regret import regret

        oracle = labelled_metric("linear_probe_accuracy")

        def judge(runs: "RunSet", ranking: "Ranking") -> "RegretReport":
            return regret(runs, [ranking.metric], oracle, epoch, allow_mixed, direction)

        def draw(runs: "RunSet", ranking: "Ranking") -> "Report":
            return report_of(runs, ranking.metric, oracle, epoch, allow_mixed, direction)

        ranking, notes, more = rank_and_write(source, read_and_rank, judge, draw, tag, group, dry_run)
    else:
        _, ranking = read_and_rank()
    warn(ranking.warnings)
    if json:
        from selector.reports.objects import as_json, ranking_object

        print(as_json({**ranking_object(ranking), **more}))
    else:
        from selector.reports.tables import open_console, print_ranking

        print_ranking(ranking, open_console())
        for line in notes:
            print(printable(line))
    return 0
