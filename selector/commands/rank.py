"""`selector rank`."""

from typing import TYPE_CHECKING, Any

from selector.commands.arguments import Choice, Json, Runs, show, warn
from selector.errors import UsageError, UserError
from selector.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from selector.runs import RunSet
    from selector.selection.ranking import Ranking

_ATTEMPTS = 3  # at writing back, while another selector writes too


def rank(
    runs: Runs,
    choice: Choice = Choice(),  # noqa: B008 - frozen
    *,
    write_back: bool = False,
    dry_run: bool = False,
    json: Json = False,
) -> int:
    """Rank the runs of a sweep by label-free metrics; no label is read.

    Args:
        write_back: Record the choice in W&B. Each run's summary gets its rank, score and pick. Only the
            winner gets the tag label-free-best, and its checkpoint gets it as an alias. A run of job type
            selection gets the ranking as a table, the report's charts and, where the runs know their
            accuracy, the regret. A second call with the same outcome changes nothing.
        dry_run: With --write-back: show what would be written, but send nothing.
    """
    from selector.reports.objects import ranking_object
    from selector.reports.tables import print_ranking

    if dry_run and not write_back:
        raise UsageError("--dry-run needs --write-back: ranking alone changes nothing")
    if write_back:
        found, ranking, notes, more = _rank_and_write(runs, choice, dry_run)
    else:
        (found, ranking), notes, more = choice.rank(runs), [], {}
    warn(ranking.warnings)
    opinions = choice.opinions(found, ranking)

    def draw(console: "Console") -> None:
        print_ranking(ranking, opinions, console)
        for line in notes:
            print(printable(line))

    return show(json, {**ranking_object(ranking, opinions), **more}, draw)


def _rank_and_write(
    runs: Runs, choice: Choice, dry_run: bool
) -> tuple["RunSet", "Ranking", list[str], dict[str, Any]]:
    """Rank and write back, anew where another selector has meanwhile written what it saw of more runs.

    Returns:
        The runs and their ranking; what was, or would be, written, in lines and as a part of the JSON object.

    Raises:
        UserError: The source is a folder, or the server does not take it.
    """
    from selector.metrics import labelled_metric
    from selector.reports.report import report_of
    from selector.reports.write_back import change_lines, change_object, notes_of
    from selector.runs import is_online
    from selector.selection.regret import regret
    from selector.tracking.write_back import Overtaken, write_back

    source, oracle = runs.source, labelled_metric("linear_probe_accuracy")
    if not is_online(source):
        raise UserError(
            f"--write-back needs runs on a W&B server, but {source} is a folder:"
            " `wandb sync` uploads its runs"
        )
    for _ in range(_ATTEMPTS):
        found, ranking = choice.rank(runs)
        how = (oracle, ranking.milestone, choice.allow_mixed, choice.direction)
        try:
            judged = regret(found, [ranking.metric], *how, seed_key=choice.seed_key)
        except UserError:  # no run knows its accuracy
            judged = None
        notes = notes_of(ranking, judged, report_of(found, ranking.metric, *how, choice.by, choice.seed_key))
        try:
            changes = write_back(source, notes, tag=runs.tag, group=runs.group, dry_run=dry_run)
        except Overtaken:
            continue
        lines = change_lines(changes, notes, dry_run)
        return found, ranking, lines, {"write_back": change_object(changes, notes, dry_run)}
    raise UserError(f"other selectors keep writing other rankings of {source}: try again")
