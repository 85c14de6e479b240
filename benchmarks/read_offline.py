"""Ranking a sweep's runs: records and offline files against `wandb leet inspect` run by run, interleaved.

    python benchmarks/read_offline.py [--runs 1000] [--rounds 5] [--sample 20]

The runs are copies of one run that W&B's own client writes here (50 milestones with the keys of train.py),
each with its own id and learning rate; the same runs are there as records (run.jsonl). `wandb leet inspect
--json` reads one of the offline files in each round, and `wandb-core leet inspect --json`, which is the same
without the start of Python, reads a sample; their times are scaled to all runs. CPU seconds are those of the
processes themselves, which other work on the machine changes little.
"""

import json
import math
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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
    """Make the runs, time both readers, check that they agree, print the table."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sample", type=int, default=20, help="runs that wandb-core reads in each round")
    options = parser.parse_args()
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = copy_runs(write_original(folder), folder / "wandb", options.runs)
        records = copy_records(folder / "wandb", folder / "records")
        check_same_ranking(folder / "wandb", records)
        check_same_figures(folder, files[0])
        times: dict[str, list[tuple[float, float]]] = {}
        for index in range(options.rounds):
            sample = files[index :: max(1, len(files) // options.sample)]
            measured = {
                "wandb leet inspect": timed(read_with_leet, sample[:1], cli=True, scale=len(files)),
                "wandb-core leet inspect": timed(read_with_leet, sample, scale=len(files) / len(sample)),
                "ranked, from offline files": timed(ranked, folder / "wandb"),
                "ranked, from records": timed(ranked, records),
            }
            for reader, both in measured.items():
                times.setdefault(reader, []).append(both)
        size = sum(file.stat().st_size for file in files) / 1e6
        print(f"{len(files)} runs x {MILESTONES} milestones, {size:.0f} MB, {options.rounds} rounds")
        print_table(times)


def ranked(folder: Path) -> None:
    """Rank the runs of a folder in a process of its own."""
    subprocess.run([sys.executable, "-c", RANK, folder], check=True)


def write_original(folder: Path) -> Path:
    """A run by W&B's own client."""
    import wandb

    config = {"method": "simclr", "dataset": "digits", "learning_rate": 0.5, "temperature": 0.5, "seed": 0}
    definition = {"version": 1, "projector_dim": 128, "backbone_dim": 512, "evaluation_images": 360}
    run = wandb.init(project="benchmark", dir=folder, config=config | {"definition": definition})
    for keys in ("label_free/*", "labelled/*", "noise/*", "train/*", "cost/*"):
        run.define_metric(keys, step_metric="epoch")
    for epoch in range(MILESTONES):
        row = {"epoch": epoch, "train/loss": 5 / (1 + epoch), "cost/milestone_seconds": 3 + math.sin(epoch)}
        row |= {f"label_free/{name}": math.sin(i + epoch) for i, name in enumerate(LABEL_FREE)}
        row |= {f"noise/{name}": math.cos(i + epoch) for i, name in enumerate(LABEL_FREE)}
        row |= {f"labelled/{name}": math.tanh(i + epoch) for i, name in enumerate(LABELLED)}
        run.log(row)
    run.summary["completion/status"] = "completed"
    run.summary["completion/epoch"] = MILESTONES - 1
    run.finish()
    wandb.teardown()  # W&B's service process may still be writing after finish()
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    return file.rename(folder / "original")


def copy_runs(original: Path, folder: Path, count: int) -> list[Path]:
    """Copies of one run with ids and learning rates of their own, in folders as W&B makes them."""
    from wandb.proto import wandb_internal_pb2

    from selector.tracking.offline_file import read_payloads

    with original.open("rb") as file:
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


def copy_records(source: Path, folder: Path) -> Path:
    """The same runs as train.py records them."""
    from selector.record import RECORD, Record

    lines = b""
    for run in read_here(source).runs:
        record = Record(folder / run.id, run.config, sweep_id=run.sweep_id)
        if not lines:
            record.define(run.definition)
            for milestone in run.milestones:
                record.milestone(milestone)
            record.end("completed", run.milestones[-1].epoch)
            lines = record.path.read_bytes().split(b"\n", 1)[1]
        else:
            record.close()
            with (folder / run.id / RECORD).open("ab") as file:
                file.write(lines)
    return folder


def check_same_ranking(offline: Path, records: Path) -> None:
    """Stop unless both hold the same runs with the same figures."""
    first, second = read_here(offline).runs, read_here(records).runs
    if [(run.id, run.config, run.milestones) for run in first] != [
        (run.id, run.config, run.milestones) for run in second
    ]:
        sys.exit("records and offline files hold different runs")


def as_log(payloads: Iterable[bytes]) -> bytes:
    """The bytes of a .wandb file."""
    log = bytearray(b":W&B\xe1\xbe\x00")
    for payload in payloads:
        first = True
        while first or payload:
            if (room := 32768 - len(log) % 32768) < 7:
                log += bytes(room)
                room = 32768
            part, payload = payload[: room - 7], payload[room - 7 :]
            kind = (1 if first else 4) if not payload else (2 if first else 3)
            log += struct.pack("<IHB", zlib.crc32(bytes([kind]) + part), len(part), kind) + part
            first = False
    return bytes(log)


def read_with_leet(files: list[Path], cli: bool = False) -> list[list[dict[str, Any]]]:
    """The records of the files, one process a file; `cli` starts it as a user would."""
    import wandb

    core = Path(wandb.__file__).parent / "bin" / "wandb-core"
    if cli:
        commands = [
            [sys.executable, "-m", "wandb", "leet", "inspect", "--json", file.parent] for file in files
        ]
    else:
        options = ["--no-observability", "--json", "--run-file"]
        commands = [[core, "leet", "inspect", *options, file, file.parent] for file in files]
    outputs = [subprocess.run(command, check=True, capture_output=True).stdout for command in commands]
    return [[json.loads(line) for line in output.splitlines()] for output in outputs]


def read_here(folder: Path) -> Any:
    """All runs, in this process."""
    from selector.tracking.offline import read_offline

    return read_offline(str(folder))


def check_same_figures(folder: Path, file: Path) -> None:
    """Stop unless all readers find the same RankMe at every milestone of one run."""
    ours = [m.values["label_free/rankme"] for m in read_here(folder / "wandb").runs[0].milestones]
    for cli in (False, True):
        records = read_with_leet([file], cli)[0]
        rows = [record["history"]["item"] for record in records if record["type"] == "history"]
        if ours != [row["label_free/rankme"] for row in rows]:
            sys.exit("the two readers disagree")


def timed(function: Any, *arguments: Any, scale: float = 1, **options: Any) -> tuple[float, float]:
    """Seconds that one call takes, and CPU seconds of the processes that it starts."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    function(*arguments, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (time.perf_counter() - start) * scale, used * scale


def print_table(times: dict[str, list[tuple[float, float]]]) -> None:
    """One line per reader: medians, and the share of CPU seconds that it takes of the offline files'."""
    print(f"{'reader':28}{'median s':>10}{'CPU s':>10}{'CPU, of offline':>17}{'least':>8}{'most':>8}")
    offline = [cpu for _, cpu in times["ranked, from offline files"]]
    for reader, both in times.items():
        seconds, cpu = (statistics.median(one) for one in zip(*both, strict=True))
        shares = [mine / theirs for (_, mine), theirs in zip(both, offline, strict=True)]
        print(f"{reader:28}{seconds:10.2f}{cpu:10.2f}{statistics.median(shares):17.2f}", end="")
        print(f"{min(shares):8.2f}{max(shares):8.2f}")


if __name__ == "__main__":
    main()
