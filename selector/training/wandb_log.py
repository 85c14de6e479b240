"""What a run tells W&B: one history row a milestone, how the metrics are defined, and how the run ended."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import wandb

from selector.config import TrainConfig


def start_run(config: TrainConfig, run_id: str, directory: Path | None = None) -> "wandb.Run":
    """Open the W&B run `run_id`, or its continuation, with what was asked for as its config.

    Without $WANDB_MODE and without an API key the run is written offline: no account, no server, no network.
    """
    mode: Any = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False) else "offline")
    return wandb.init(
        id=run_id,
        project=os.environ.get("WANDB_PROJECT", "ssl-sweep-selector"),
        config=asdict(config),
        tags=[config.method, config.dataset],
        group=os.environ.get("WANDB_RUN_GROUP"),
        job_type="train",
        # Offline, the client would only warn that it cannot look for an earlier life of the run.
        resume=None if mode == "offline" else "allow",
        mode=mode,
        dir=directory,
        settings=wandb.Settings(console="off", x_disable_stats=True),
    )


class WandbLog:
    """Writes milestones to one W&B run; see design: history keys, `definition`, completion marker."""

    def __init__(self, run: "wandb.Run") -> None:
        """Declare the epoch as the axis of every metric, so that the summary holds the last milestone."""
        self.run = run
        run.define_metric("epoch", hidden=True)
        for prefix in ("label_free", "labelled", "noise", "train", "cost"):
            run.define_metric(f"{prefix}/*", step_metric="epoch")

    def define(self, definition: Mapping[str, Any]) -> None:
        """Store how the metrics are computed; runs that differ here must not be compared."""
        if "definition" not in self.run.config:
            self.run.config["definition"] = dict(definition)

    def milestone(self, row: Mapping[str, float]) -> None:
        """One history row, with its `epoch`."""
        self.run.log(dict(row))

    def end(
        self, status: Literal["completed", "diverged"], epoch: int, checkpoint: Path | None = None
    ) -> None:
        """The completion marker: W&B's own state also says "finished" of runs that were interrupted."""
        self.run.summary["completion/status"] = status
        self.run.summary["completion/epoch"] = epoch
        if checkpoint is not None:
            self.run.summary["checkpoint"] = str(checkpoint.resolve())
