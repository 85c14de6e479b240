"""`selector best`."""

from pathlib import Path

from selector.commands.arguments import Choice, ChoiceOptions, RunOptions, warn
from selector.errors import UserError, writing
from selector.text import printable


def best(
    runs: RunOptions,
    choice: ChoiceOptions = Choice(),  # noqa: B008 - frozen
    *,
    output: Path | None = None,
    json: bool = False,
) -> int:
    """Hand over the best run: hyperparameters as YAML, the command that repeats it, its checkpoint.

    Args:
        runs: Which runs.
        choice: How to choose among them.
        output: File to write the hyperparameters to; None prints them.
        json: Print one JSON object.
    """
    from selector.reports.best import best_object, best_of, best_yaml, checkpoint_line
    from selector.reports.objects import as_json

    _, ranking = choice.rank(runs)
    warn(ranking.warnings)
    winners = [best_of(group) for group in ranking.groups]
    documents = [best_yaml(winner, ranking) for winner in winners]
    if output is not None:
        if len(documents) > 1:
            raise UserError(
                f"{output} is one file, but {len(documents)} groups of runs cannot be compared by"
                f" {ranking.metric.name}: leave out --output to see the best of each"
            )
        with writing(output):
            output.write_text(documents[0], encoding="utf-8")
    if json:
        written = str(output) if output else None
        print(as_json({"best": [best_object(winner, ranking) for winner in winners], "output": written}))
    elif output is None:
        print("---\n".join(documents), end="")
    else:
        print(f"best: {printable(winners[0].run.id)}, written to {output}")
        print(f"repeat it: {printable(winners[0].command) or 'it is not a run of train.py'}")
        print(f"checkpoint: {printable(checkpoint_line(winners[0]))}")
    return 0
