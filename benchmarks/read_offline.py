"""Ranking a sweep's runs: records and offline files against `wandb leet inspect` run by run, interleaved.

    python benchmarks/read_offline.py [--runs 1000] [--rounds 5] [--sample 20]

The runs are copies of one run that W&B's own client writes here (50 milestones with the keys of train.py),
each with its own id and learning rate; the same runs are there as records (run.jsonl). `wandb leet inspect
--json` reads one of the offline files in each round, and `wandb-core leet inspect --json`, which is the same
without the start of Python, reads a sample; their times are scaled to all runs. CPU seconds are those of the
processes themselves, which other work on the machine changes little.
"""

import math
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import wandb
from compare import Cost, in_turns, options, print_costs
from wandb.proto import wandb_internal_pb2

sys.path += [str(Path(__file__).parents[1] / "tests" / "tracking")]
from offline_files import as_log, leet_records

from selector.record import Record
from selector.runs import Run
from selector.tracking.offline import read_offline
from selector.tracking.offline_file import read_payloads

MILESTONES = 50
LABEL_FREE = ("rankme", "rankme_backbone", "entropy", "entropy_robust", "silhouette", "clustering_agreement")
LABELLED = ("linear_probe_accuracy", "knn_accuracy", "ami_labels", "silhouette_labels")
RANK = """
import sys
from selector.metrics import label_free_metric
from selector.runs import read_source
from selector.selection.ranking import rank
rank(read_source(sys.argv[1]), label_free_metric("rankme"))
"""


def main() -> None:
    """Make the runs, check that all readers agree, time them in turns, print the table."""
    asked = options(__doc__, runs=1000, rounds=5, sample=20)
    with tempfile.TemporaryDirectory() as name:
        offline, records = Path(name) / "wandb", Path(name) / "records"
        files = copy_runs(Path(name), offline, asked.runs)
        copy_records(offline, records)
        check_same(offline, records, files[0])
        cli = [sys.executable, "-m", "wandb", "leet", "inspect", "--json"]
        core = [
            Path(wandb.__file__).parent / "bin" / "wandb-core",
            "leet",
            "inspect",
            "--no-observability",
            "--json",
            "--run-file",
        ]
        sample = files[:: math.ceil(len(files) / asked.sample)]
        readers = {
            "wandb leet inspect": partial(quietly, [[*cli, files[0].parent]]),
            "wandb-core leet inspect": partial(quietly, [[*core, file, file.parent] for file in sample]),
            "offline files": partial(quietly, [[sys.executable, "-c", RANK, offline]]),
            "records": partial(quietly, [[sys.executable, "-c", RANK, records]]),
        }
        costs = in_turns(readers, asked.rounds)
        for reader, read in zip(readers, (1, len(sample)), strict=False):
            scale = len(files) / read
            costs[reader] = [Cost(scale * one.wall, scale * one.cpu) for one in costs[reader]]
        size = sum(file.stat().st_size for file in files) / 1e6
        print_costs(
            f"{len(files)} runs x {MILESTONES} milestones, {size:.0f} MB", costs, "offline files", True
        )


def quietly(commands: list[list[Any]]) -> None:
    """One process after the other; what they print is read and forgotten."""
    for command in commands:
        subprocess.run(command, check=True, capture_output=True)


def history(epoch: int) -> dict[str, float]:
    """A row with the keys of train.py."""
    row = {"epoch": epoch, "train/loss": 5 / (1 + epoch), "cost/milestone_seconds": 3 + math.sin(epoch)}
    row |= {f"label_free/{name}": math.sin(i + epoch) for i, name in enumerate(LABEL_FREE)}
    row |= {f"noise/{name}": math.cos(i + epoch) for i, name in enumerate(LABEL_FREE)}
    return row | {f"labelled/{name}": math.tanh(i + epoch) for i, name in enumerate(LABELLED)}


def write_original(folder: Path) -> Path:
    """A run by W&B's own client."""
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
    config = {"method": "simclr", "dataset": "digits", "learning_rate": 0.5, "temperature": 0.5, "seed": 0}
    definition = {"version": 1, "projector_dim": 128, "backbone_dim": 512, "evaluation_images": 360}
    run = wandb.init(project="benchmark", dir=folder, config=config | {"definition": definition})
    for keys in ("label_free/*", "labelled/*", "noise/*", "train/*", "cost/*"):
        run.define_metric(keys, step_metric="epoch")
    for epoch in range(MILESTONES):
        run.log(history(epoch))
    run.summary["completion/status"] = "completed"
    run.summary["completion/epoch"] = MILESTONES - 1
    run.finish()
    wandb.teardown()  # W&B's service process may still be writing after finish()
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    return file.rename(folder / "original")


def copy_runs(place: Path, folder: Path, count: int) -> list[Path]:
    """Copies of one run with ids and learning rates of their own, in folders as W&B makes them."""
    with write_original(place).open("rb") as file:
        records = [wandb_internal_pb2.Record.FromString(payload) for payload in read_payloads(file)]
    (run,) = (record.run for record in records if record.HasField("run"))
    (rate,) = (item for item in run.config.update if item.key == "learning_rate")
    files = []
    for index in range(count):
        run.run_id, rate.value_json = f"run{index:05d}", repr((index + 1) / count)
        files.append(folder / f"offline-run-20260101_000000-{run.run_id}" / f"run-{run.run_id}.wandb")
        files[-1].parent.mkdir(parents=True)
        files[-1].write_bytes(as_log(record.SerializeToString() for record in records))
    return files


def copy_records(source: Path, folder: Path) -> None:
    """The same runs as train.py records them, but for waiting until each line is on the disk."""
    with patch("os.fsync"):
        for run in read_offline(str(source)).runs:
            record = Record(folder / run.id, run.config, sweep_id=run.sweep_id)
            record.define(run.definition)
            for milestone in run.milestones:
                record.milestone(milestone)
            record.end("completed", run.milestones[-1].epoch)


def check_same(offline: Path, records: Path, file: Path) -> None:
    """Stop unless both folders hold the same runs, and W&B's reader finds the same RankMe in one."""

    def held(run: Run) -> tuple[Any, ...]:
        return run.id, run.config, run.milestones

    first, second = (read_offline(str(folder)).runs for folder in (offline, records))
    if [*map(held, first)] != [*map(held, second)]:
        sys.exit("records and offline files hold different runs")
    rows = [record["history"]["item"] for record in leet_records(file) if record["type"] == "history"]
    if [row["label_free/rankme"] for row in rows] != [
        one.values["label_free/rankme"] for one in first[0].milestones
    ]:
        sys.exit("the two readers disagree")


if __name__ == "__main__":
    main()
