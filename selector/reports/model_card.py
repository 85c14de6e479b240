"""The model card of an exported encoder: how it was chosen, how far that can be trusted, how to load it."""

from collections.abc import Sequence
from math import isfinite

from selector.errors import UserError
from selector.metrics import METRICS, LabelFreeMetric, labelled_metric
from selector.reports.best import Best
from selector.runs import RunSet
from selector.selection.ranking import Ranking, rank
from selector.text import printable

_SHOWN = 8  # runs that are named one by one


def model_card(best: Best, ranking: Ranking, runs: RunSet, size: int, channels: int, dimension: int) -> str:
    """README.md of an export.

    Args:
        best: The chosen run.
        ranking: What it was chosen by.
        runs: What it was chosen among, for the opinions of other metrics and for its regret.
        size: Side of its images.
        channels: Of its images.
        dimension: Of its representations.
    """
    better = "highest" if best.group.direction == "max" else "lowest"
    config = best.run.config
    trained = [str(config[name]) for name in ("method", "backbone", "dataset") if config.get(name)]
    lines = [
        f"# Encoder of run {best.run.id}",
        "",
        f"An image encoder trained without labels ({', '.join(trained) or 'settings unknown'}). It turns"
        f" {size} × {size} images of {channels} channels into {dimension} numbers.",
        "",
        "## Load it",
        "",
        "With torch alone:",
        "",
        "```python",
        "import torch",
        "",
        'encode = torch.export.load("encoder.pt2").module()',
        f"images = torch.zeros(4, {channels}, {size}, {size}, dtype=torch.uint8)  # your images, 0 to 255",
        f"features = encode(images)  # float32, (4, {dimension})",
        "```",
        "",
        "Scale images to this size first; they are normalised inside. `encoder.safetensors` holds the weights"
        " under torchvision's ResNet names, and `config.json` says what they need. With ssl-sweep-selector"
        ' installed, `selector.load_encoder("FOLDER")` takes images of any size.',
        "",
        "## How it was chosen",
        "",
        f"- Criterion: {better} `{ranking.metric.name}`, which reads no labels: {best.score:.6g}.",
        f"- Compared: {len(best.group.ranking)} runs"
        + (f"; {len(ranking.excluded)} more were left out." if ranking.excluded else "."),
        f"- {_ties(best)}",
        *(f"- {line}" for line in second_opinions(best, ranking, runs)),
        f"- {_regret(best)}",
        *(f"- Caution: {warning}." for warning in ranking.warnings),
        "",
        "## What it must not be used for",
        "",
        "- Decisions about people, or any decision nobody checks: nobody has tested it for that.",
        "- Images unlike the ones it was trained on: it was never measured on others.",
        "- As evidence that the criterion works: one choice in one sweep shows nothing about the next.",
        "",
        *([f"Made by {best.run.versions}.", ""] if best.run.versions else []),
        *([f"Train it again: `{best.command}`", ""] if best.command else []),
    ]
    return "\n".join(map(printable, lines))


def second_opinions(best: Best, ranking: Ranking, runs: RunSet) -> list[str]:
    """Which runs the other label-free metrics would have chosen, the most frequent first."""
    members = {ranked.run.id for ranked in best.group.ranking}
    chosen: dict[str, list[str]] = {}
    for metric in METRICS:
        if not isinstance(metric, LabelFreeMetric) or metric.name == ranking.metric.name:
            continue
        try:
            groups = rank(runs, metric, ranking.milestone).groups
        except UserError:  # no run holds it
            continue
        for group in groups:
            if group.chosen.id in members:
                chosen.setdefault(group.chosen.id, []).append(metric.name)
    same = chosen.pop(best.run.id, [])
    lines = [f"Second opinions: {len(same)} other label-free metrics choose this run{_named(same)}."]
    for id, names in sorted(chosen.items(), key=lambda item: -len(item[1])):
        count = f"{len(names)} metric{'' if len(names) == 1 else 's'}"
        lines.append(f"Run {id} would be chosen by {count}{_named(names)}.")
    return lines


def _ties(best: Best) -> str:
    others = [ranked.run.id for ranked in best.group.tie_set if ranked.run.id != best.run.id]
    if not others:
        return "No other run is tied with it."
    more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    return f"Tied with it, so that the criterion cannot tell them apart: {', '.join(others[:_SHOWN])}{more}."


def _regret(best: Best) -> str:
    """What the choice cost, where the runs know their accuracy."""
    key = labelled_metric("linear_probe_accuracy").key
    accuracies = {}
    for ranked in best.group.ranking:
        last = ranked.run.milestones[-1].values.get(key)
        if last is not None and isfinite(last):
            accuracies[ranked.run.id] = last
    if best.run.id not in accuracies:
        return "What the choice cost in accuracy is not known: no labels were used."
    top, own = max(accuracies.values()), accuracies[best.run.id]
    return (
        f"Linear-probe accuracy {100 * own:.1f} %; the best of {len(accuracies)} runs has {100 * top:.1f} %,"
        f" so the choice cost {100 * (top - own):.1f} points."
    )


def _named(names: Sequence[str]) -> str:
    return f" ({', '.join(names)})" if names else ""
