"""`selector rank --write-back`."""

from collections.abc import Callable
from typing import Any

from selector.errors import UserError
from selector.reports.report import Report
from selector.reports.write_back import change_lines, change_object, notes_of
from selector.runs import RunSet, is_online
from selector.selection.ranking import Ranking
from selector.selection.regret import RegretReport
from selector.tracking.wandb_writer import Overtaken, write_back

_ATTEMPTS = 3  # while another selector writes too


def rank_and_write(
    source: str,
    read_and_rank: Callable[[], tuple[RunSet, Ranking]],
    judge: Callable[[RunSet, Ranking], RegretReport],
    draw: Callable[[RunSet, Ranking], Report],
    tag: str | None,
    group: str | None,
    dry_run: bool,
) -> tuple[Ranking, list[str], dict[str, Any]]:
    """Rank and write back, anew where another selector has meanwhile written what it saw of more runs.

    Args:
        source: Where the runs are.
        read_and_rank: Reads and ranks them.
        judge: Says what the choice cost, once it is made; a UserError where no run knows its accuracy.
        draw: Makes the report whose charts are logged.
        tag: Only runs with this tag were read.
        group: Only runs of this group were read.
        dry_run: Send nothing.

    Returns:
        The ranking; what was, or would be, written, in lines and as a part of the JSON object.

    Raises:
        UserError: The source is a folder, or the server does not take it.
    """
    if not is_online(source):
        raise UserError(
            f"--write-back needs runs on a W&B server, and {source} is a folder:"
            " `wandb sync` puts its runs there"
        )
    for _ in range(_ATTEMPTS):
        runs, ranking = read_and_rank()
        try:
            regret = judge(runs, ranking)
        except UserError:  # no run knows its accuracy
            regret = None
        notes = notes_of(ranking, regret, draw(runs, ranking))
        try:
            changes = write_back(source, notes, tag=tag, group=group, dry_run=dry_run)
        except Overtaken:
            continue
        lines = change_lines(changes, notes, dry_run)
        return ranking, lines, {"write_back": change_object(changes, notes, dry_run)}
    raise UserError(f"other selectors keep writing other rankings of {source}: try again")
