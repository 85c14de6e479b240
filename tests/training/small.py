"""What the tests of training share: a small run, where its milestones go, and when two states are equal."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from tiny_training import OWN, TINY

from selector.config import TrainConfig, paper_recipe
from selector.training.run_log import SilentLog


def small_config(method: str = "simclr", **changes: object) -> TrainConfig:
    """12 steps: 96 images, 32 per step, 4 epochs."""
    small = {"evaluation_images": 40, "epochs": 4, "milestone_every": 2}
    return dataclasses.replace(paper_recipe(method), **(TINY | small | OWN[method] | changes))


class Rows(SilentLog):
    """Keeps the milestones, their definition and the end of a training."""

    def __init__(self) -> None:
        super().__init__()
        self.definition: Mapping[str, Any] = {}
        self.ended: list[int] = []

    def define(self, definition) -> None:
        self.definition = definition

    def milestone(self, milestone) -> None:
        self.rows.append(milestone)

    def end(self, status: str, epoch: int) -> None:
        self.ended.append(epoch)


def without_costs(row: Mapping[str, Any]) -> dict[str, str]:
    """As text, in which NaN equals NaN."""
    return {key: repr(row[key]) for key in sorted(row) if not key.startswith("cost/")}


def equal(a: object, b: object) -> bool:
    """Whether two states are the same to the bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b
