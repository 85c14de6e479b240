"""`selector sweep FILE --check`: what a sweep file asks for, said before anything is trained."""

import math
import time
from pathlib import Path
from statistics import median
from typing import Any

from selector.config import TrainConfig
from selector.sweeping.launch import check_program, is_our_train, with_program
from selector.sweeping.located_yaml import shown
from selector.sweeping.parameters import Categorical
from selector.sweeping.search import foreseen, number_of_draws, planned_runs
from selector.sweeping.sweep_file import SweepFile, read_sweep_file
from selector.sweeping.train_fields import check_train_fields, train_config
from selector.text import counted

_TIMED_STEPS = 4
_MOST_LISTED = 6


def check(file: Path, count: int | None = None, seed: int = 0, jobs: int = 1) -> list[str]:
    """What a sweep would do, one line each: runs, what varies, traps of YAML, and how long it takes.

    Trains nothing: a few steps of the first configuration are timed, in memory.

    Raises:
        UserError: The sweep could not be run; names the line.
    """
    sweep = with_program(read_sweep_file(file))
    check_program(sweep)
    planned = planned_runs(sweep, count)
    runs = (
        "runs without a limit (--count or run_cap sets one)" if planned is None else counted(planned, "run")
    )
    lines = [f"{sweep.method}: {runs}"]
    lines += [f"{p.name}: {_values(p.distribution)}" for p in sweep.parameters if p.kind != "constant"]
    different = number_of_draws(sweep.parameters)
    if sweep.method != "grid" and planned and different and planned > different:
        lines.append(
            f"warning: there are {different} different configurations; some will be trained more than once"
        )
    lines += [f"warning: {text}" for text in (*sweep.yaml.warnings, *sweep.warnings)]
    if is_our_train(sweep):
        check_train_fields(sweep, foreseen(sweep, seed, planned))
        lines += _time(sweep, seed, planned, jobs)
    return lines


def _values(distribution: Any) -> str:
    if isinstance(distribution, Categorical):
        more = len(distribution.values) - _MOST_LISTED
        listed = ", ".join(shown(value) for value in distribution.values[:_MOST_LISTED])
        return listed + (f" and {more} more" if more > 0 else "")
    return repr(distribution)


def _time(sweep: SweepFile, seed: int, planned: int | None, jobs: int) -> list[str]:
    config = train_config(sweep, next(foreseen(sweep, seed, planned)))
    if config is None:
        return ["not timed: the command sets options of its own"]
    step, images = timed_step(config)
    steps = images // config.batch_size * config.epochs
    if not steps:
        return [f"warning: {images} training images are fewer than a batch of {config.batch_size}"]
    run = step * steps
    milestones = math.ceil(config.epochs / config.milestone_every) + 1
    lines = [
        f"one run: {steps} steps of {_milliseconds(step)} on this machine, {_duration(run)}, and {milestones}"
        " milestones; timed with the first configuration"
    ]
    if planned is not None:
        lines.append(f"the sweep, without its milestones: {_duration(run * math.ceil(planned / jobs))}")
    return lines


def timed_step(config: TrainConfig) -> tuple[float, int]:
    """Seconds of one training step, and the number of training images. Nothing is written."""
    import pytorch_lightning as pl
    import torch

    from selector.training.data import load_images
    from selector.training.network import Network
    from selector.training.pretrain import silence_lightning

    class Clock(pl.Callback):
        ends: list[float]

        def on_train_batch_end(self, *_: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.ends.append(time.perf_counter())

    silence_lightning()
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    images, clock = load_images(config), Clock()
    clock.ends = []
    trainer = pl.Trainer(
        max_steps=_TIMED_STEPS,
        logger=False,
        callbacks=[clock],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="auto" if config.device == "auto" else config.device,
        devices=1,
    )
    trainer.fit(Network(config, images))
    spans = [end - begin for begin, end in zip(clock.ends, clock.ends[1:], strict=False)]
    return (median(spans) if spans else 0.0), len(images.train)


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.1f} s"


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"about {seconds / size:.0f} {unit}"
    return f"about {seconds:.0f} s"
