"""What the campaigns share: a row of the table, tiny runs of train.py, and how they are compared."""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from selector.runs import Run

sys.path.append(str(Path(__file__).parents[1]))
import compare

family, options = compare.family, compare.options

TRAIN = Path(__file__).parents[2] / "train.py"
# The smallest training with all parts in it: three epochs of three steps, and four milestones.
TINY = yaml.safe_load("""{
    backbone: resnet-9, backbone_width: 0.0625, projector_hidden: 16, projector_dim: 8, train_images: 96,
    evaluation_images: 40, batch_size: 32, epochs: 3, milestone_every: 1, umap_seeds: 1, probe: fast,
    device: cpu, threads: 1, lidar_images: 20, lidar_views: 2, checkpoint_minutes: 0.001}""")


@dataclass
class Row:
    """One line of the table: a fault and what came of it.

    Attributes:
        trials: How often it struck.
        notes: What to blame trials for: "lost", where something that had been logged, or a configuration, was
            gone; "wrong", where a figure was not the undisturbed one's, or a traceback was shown; or "hung".
    """

    fault: str
    trials: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)

    def blame(self, kind: str, note: str) -> None:
        """Count one trial as lost, wrong or hung."""
        self.notes.append((kind, note))
        print(f"  {self.fault}: {kind}: {note}", file=sys.stderr, flush=True)


def print_table(rows: list[Row]) -> int:
    """Print the rows; the exit status is 1 where one of them has anything but zeros."""
    print("| fault | trials | lost | wrong | hung |\n|---|---:|---:|---:|---:|")
    for row in rows:
        kinds = Counter(kind for kind, _ in row.notes)
        print(compare.row(row.fault, row.trials, *(kinds[kind] for kind in ("lost", "wrong", "hung"))))
    return int(any(row.notes for row in rows))


def flags(settings: Mapping[str, Any]) -> list[str]:
    """Arguments of train.py."""
    return [f"--{name}={value}" for name, value in settings.items()]


def offline(folder: Path) -> dict[str, str]:
    """An environment in which runs are written offline, below a folder."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    numbers = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    return clean | numbers | {"WANDB_MODE": "offline", "WANDB_DIR": str(folder)}


def figures(run: Run) -> dict[int, str]:
    """Epoch → all numbers of its milestone but how long it took, as text: equal for equal bits, NaN too."""
    return {
        row.epoch: json.dumps({k: v for k, v in sorted(row.values.items()) if not k.startswith("cost/")})
        for row in run.milestones
    }


def differences(found: Mapping[int, str], wanted: Mapping[int, str]) -> str:
    """The first milestone that is another or not wanted, or ""; missing ones are no difference."""
    for epoch, values in found.items():
        if wanted.get(epoch) != values:
            return f"milestone {epoch} is {values[:2000]}, not {wanted.get(epoch, 'there')[:2000]}"
    return ""


def kill_family(pid: int) -> None:
    """As a machine that dies: the process, W&B's service and all else at once."""
    for member in family(pid):
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process, which may be nobody's child, is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
