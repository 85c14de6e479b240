"""What a run tells W&B: one history row a milestone, how the metrics are defined, and how the run ended."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import wandb

from selector.config import TrainConfig
from selector.evaluation.metrics import SPECTRUM_PREFIX
from selector.training.spectrum_chart import with_chart


class WandbLog:
    """Writes milestones to one W&B run; see design: history keys, `definition`, completion marker."""

    def __init__(self, run: "wandb.Run") -> None:
        """Declare the epoch as the axis of every metric, so that the summary holds the last milestone."""
        self.run = run
        run.define_metric("epoch", hidden=True)
        for prefix in ("label_free", "labelled", "noise", "train", "cost"):
            run.define_metric(f"{prefix}/*", step_metric="epoch")
        # Lists and charts stay in the history, where every milestone has its own.
        run.define_metric(f"{SPECTRUM_PREFIX}*", step_metric="epoch", summary="none")

    def define(self, definition: Mapping[str, Any]) -> None:
        """Store how the metrics are computed; runs that differ here must not be compared."""
        if "definition" not in self.run.config:
            self.run.config["definition"] = dict(definition)

    def milestone(self, row: Mapping[str, Any]) -> None:
        """One history row, with its `epoch`."""
        self.run.log(with_chart(row))

    def end(
        self, status: Literal["completed", "diverged"], epoch: int, checkpoint: Path | None = None
    ) -> None:
        """The completion marker: W&B's own state also says "finished" of runs that were interrupted."""
        self.run.summary["completion/status"] = status
        self.run.summary["completion/epoch"] = epoch
        if checkpoint is not None:
            self.run.summary["checkpoint"] = str(checkpoint.resolve())


@contextmanager
def wandb_log(config: TrainConfig, run_id: str) -> Iterator[WandbLog]:
    """The W&B run `run_id`, or its continuation, with what was asked for as its config, open while within.

    Without $WANDB_MODE and without an API key the run is written offline: no account, no server, no network.
    A run that is left by an exception ends with exit code 1.
    """
    mode: Any = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False) else "offline")
    run = wandb.init(
        id=run_id,
        project=os.environ.get("WANDB_PROJECT", "ssl-sweep-selector"),
        config=asdict(config),
        tags=[config.method, config.dataset],
        group=os.environ.get("WANDB_RUN_GROUP"),
        job_type="train",
        # Offline, the client would only warn that it cannot look for an earlier life of the run.
        resume=None if mode == "offline" else "allow",
        mode=mode,
    )
    # Not `with run`: that prints the traceback of whatever ends the run, a user's Ctrl-C included.
    exit_code = 1
    try:
        yield WandbLog(run)
        exit_code = 0
    finally:
        run.finish(exit_code)
