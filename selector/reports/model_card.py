"""The model card of an exported encoder: how it was chosen, how far that can be trusted, how to load it."""

from math import isfinite

from selector.metrics import labelled_metric
from selector.reports.best import command_line
from selector.reports.opinions import Opinions
from selector.selection.ranking import RankedGroup, Ranking
from selector.text import counted, printable

_SHOWN = 8  # runs that are named one by one


def model_card(ranking: Ranking, opinions: Opinions, size: int, channels: int, dimension: int) -> str:
    """README.md of an export of the first group's pick.

    Args:
        ranking: What it was chosen by.
        opinions: What other metrics say of it.
        size: Side of its images.
        channels: Of its images.
        dimension: Of its representations.
    """
    group, first = ranking.groups[0], ranking.groups[0].ranking[0]
    better = "highest" if group.direction == "max" else "lowest"
    run, config, command = first.run, first.run.config, command_line(first.run)
    trained = [str(config[name]) for name in ("method", "backbone", "dataset") if config.get(name)]
    lines = [
        f"# Encoder of run {run.id}",
        "",
        f"An image encoder trained without labels ({', '.join(trained) or 'settings unknown'}). It turns"
        f" {size} × {size} images of {counted(channels, 'channel')} into {dimension} numbers.",
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
        f"- Criterion: {better} `{ranking.metric.name}`, which reads no labels: {first.score:.6g}.",
        f"- Compared: {counted(len(group.ranking), 'run')}"
        + (f"; {len(ranking.excluded)} more were left out." if ranking.excluded else "."),
        f"- {_ties(group)}",
        *(f"- {line}" for line in opinions.lines()),
        f"- {_regret(group)}",
        *(f"- Caution: {warning}." for warning in ranking.warnings),
        "",
        "## What it must not be used for",
        "",
        "- Decisions about people, or any decision that no one checks: it has not been tested for that.",
        "- Images unlike the ones it was trained on: it was never measured on others.",
        "- As evidence that the criterion works: one choice in one sweep shows nothing about the next.",
        "",
        *([f"Made by {run.versions}.", ""] if run.versions else []),
        *([f"Train it again: `{command}`", ""] if command else []),
    ]
    return "\n".join(map(printable, lines))


def _ties(group: RankedGroup) -> str:
    others = [ranked.run.id for ranked in group.tie_set if ranked.run.id != group.chosen.id]
    if not others:
        return "No other run is tied with it."
    more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    return f"Tied with it, so that the criterion cannot tell them apart: {', '.join(others[:_SHOWN])}{more}."


def _regret(group: RankedGroup) -> str:
    """What the choice cost, where the runs know their accuracy."""
    key = labelled_metric("linear_probe_accuracy").key
    accuracies = {}
    for ranked in group.ranking:
        last = ranked.run.milestones[-1].values.get(key)
        if last is not None and isfinite(last):
            accuracies[ranked.run.id] = last
    if group.chosen.id not in accuracies:
        return "What the choice cost in accuracy is not known: no labels were used."
    top, own = max(accuracies.values()), accuracies[group.chosen.id]
    return (
        f"Linear-probe accuracy {100 * own:.1f} %; the best of {counted(len(accuracies), 'run')} has"
        f" {100 * top:.1f} %, so the choice cost {100 * (top - own):.1f} points."
    )
