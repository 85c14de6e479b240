"""Table II in small: which metrics of frozen models go with accuracy, as `selector pretrained` printed it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def models(records: Path) -> Iterator[str]:
    """The models, with their probe accuracy."""
    study = _study(records)
    yield "| model | linear probe accuracy | RankMe of the representations |"
    yield "|---|---|---|"
    for model in sorted(
        study["models"], key=lambda model: -model["values"]["labelled/linear_probe_accuracy"]
    ):
        values = model["values"]
        accuracy, rankme = values["labelled/linear_probe_accuracy"], values["label_free/rankme_backbone"]
        yield f"| {model['model']} | {100 * accuracy:.1f} | {rankme:.1f} |"


def correlations(records: Path) -> Iterator[str]:
    """Pearson's r of each metric over all models, the strongest first."""
    found = [
        one
        for one in _study(records)["correlations"]
        if one["group"] == "overall" and one["pearson"] is not None
    ]
    yield f"| metric | r over {found[0]['models']} models | 95 % | p | ρ |"
    yield "|---|---|---|---|---|"
    for one in sorted(found, key=lambda one: -abs(one["pearson"])):
        interval = "–" if one["interval"] is None else "{:.2f} to {:.2f}".format(*one["interval"])
        rho = "–" if one["spearman"] is None else f"{one['spearman']:.2f}"
        yield f"| `{one['metric']}` | {one['pearson']:.2f} | {interval} | {one['pearson_p']:.3f} | {rho} |"


def _study(records: Path) -> dict[str, Any]:
    (study,) = json.loads((records / "pretrained" / "digits.json").read_text("utf-8"))["datasets"]
    return dict(study)
