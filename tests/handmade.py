"""Small sweeps written out by hand, for tests of what reads runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from offline_files import write_run

from selector.metrics import LabelFreeMetric, label_free_metric, labelled_metric, registered
from selector.runs import Milestone, Run, RunSet

RANKME = label_free_metric("rankme")
ENTROPY = label_free_metric("entropy")
ACCURACY = labelled_metric("linear_probe_accuracy")
# The label-free metrics of UMAP's points, and of the clusters among them.
FROM_UMAP = {
    one.metric.name
    for one in registered()
    if {"points", "clusters"} & {*one.reads} and isinstance(one.metric, LabelFreeMetric)
}
CONFIG = {
    "method": "simclr",
    "dataset": "digits",
    "backbone": "resnet-9",
    "backbone_width": 0.25,
    "temperature": 0.5,
    "learning_rate": 0.1,
    "seed": 0,
    "umap_seeds": 3,
}
DEFINITION = {
    "projector_dim": 128,
    "backbone_dim": 64,
    "rankme_images": 1000,
    "evaluation_images": 400,
    "umap_seeds": 3,
    "version": 1,
}


def run(
    id: str,
    rankme: float | None = None,
    accuracy: float | None = None,
    epoch: int = 10,
    values: Mapping[str, float] | None = None,
    milestones: tuple[Milestone, ...] | None = None,
    definition: Mapping[str, Any] | None = None,
    state: str = "finished",
    detail: str = "",
    name: str = "",
    **config: Any,
) -> Run:
    """A run with one trained milestone; without a learning rate of its own it gets one made of its id."""
    row: dict[str, float] = dict(values or {})
    if rankme is not None:
        row["label_free/rankme"] = rankme
    if accuracy is not None:
        row["labelled/linear_probe_accuracy"] = accuracy
    config.setdefault("learning_rate", sum(map(ord, id)) / 1000)
    return Run(
        id=id,
        name=name or id,
        state=state,  # type: ignore[arg-type]
        config={**CONFIG, **config},
        definition=DEFINITION if definition is None else definition,
        milestones=(Milestone(epoch, row),) if milestones is None else milestones,
        detail=detail,
    )


def curve(*rows: tuple[int, float], key: str = "label_free/rankme", accuracy: float | None = None):
    """Milestones (epoch, value) of one metric; the accuracy stands at the last."""
    built = [Milestone(epoch, {key: value}) for epoch, value in rows]
    if accuracy is not None:
        last = built[-1]
        built[-1] = Milestone(last.epoch, {**last.values, "labelled/linear_probe_accuracy": accuracy})
    return tuple(built)


def sweep(*runs: Run, **more: Any) -> RunSet:
    """A source that holds these runs."""
    return RunSet(source="sweep/", runs=tuple(runs), **more)


def write_sweep(folder: Path, *runs: Run) -> Path:
    """The runs as a folder of offline W&B files; what is not finished lacks train.py's completion marker."""
    for number, one in enumerate(runs):
        summary: dict[str, Any] = {"checkpoint": one.checkpoint} if one.checkpoint else {}
        if one.state in ("finished", "diverged"):
            status = "completed" if one.state == "finished" else one.state
            summary |= {"completion/status": status, "completion/epoch": one.milestones[-1].epoch}
        write_run(
            folder / "wandb" / f"offline-run-20260101_0000{number:02}-{one.id}" / f"run-{one.id}.wandb",
            one.id,
            config={**one.config, "definition": dict(one.definition)} if one.definition else dict(one.config),
            rows=[{"epoch": row.epoch, **row.values} for row in one.milestones],
            summary=summary,
            exit_code=1 if one.state in ("failed", "crashed") else 0,
            started=1000.0 + number,
            display_name=one.name,
        )
    return folder
