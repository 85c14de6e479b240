"""Small files of every kind cut at every byte, and with every byte changed: read as written, or refused.

    python benchmarks/reliability/damage.py

A trial is one damaged file. It may be refused by one of the stated errors, or say of its run that it has not
finished; a figure that was not in the sound file, or any other exception, is wrong. Of images, a pixel that
was not in the sound one counts where the file was cut; few of their formats have checksums for changed bytes.
"""

import math
import random
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from trials import Row, figures, print_table

from selector.config import paper_recipe
from selector.errors import UserError
from selector.export_file import read_records, write_records
from selector.milestone import Milestone
from selector.record import Record
from selector.sweeping.state import Agent, read_sweep
from selector.sweeping.storage import Ledger
from selector.tracking.offline import read_offline
from selector.tracking.umap_files import read_umap_files
from selector.training.datasets import folder as folders
from selector.training.stored import read_stored

sys.path += [str(Path(__file__).parents[2] / "tests"), str(Path(__file__).parents[2] / "tests" / "tracking")]
from handmade import curve, run, sweep
from offline_files import write_run


class Sound(NamedTuple):
    """A file to damage.

    Attributes:
        file: Where it lies.
        cut: Whether what is read of it is true after a cut.
        changed: The same after a byte was changed; None where the format has no checksums to tell.
    """

    file: Path
    cut: Callable[[], bool]
    changed: Callable[[], bool] | None


def main() -> int:
    """Damage each kind of file, print a row for each kind of damage."""
    kinds: dict[str, tuple[Callable[..., Sound], ...]] = {
        f"{kind.__name__} file": (kind,) for kind in (record, wandb, checkpoint, umap, ledger, records)
    }
    kinds["images"] = tuple(partial(image, of) for of in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"))
    rows = []
    for name, some in kinds.items():
        both = [Row(f"{name}: cut at every byte"), Row(f"{name}: each byte changed")]
        for kind in some:
            with tempfile.TemporaryDirectory() as folder:
                damage(kind(Path(folder)), both)
        rows += [row for row in both if row.trials]
    return print_table(rows)


def damage(sound: Sound, rows: list[Row]) -> None:
    """Cut the file everywhere, and change each of its bytes."""
    content, drawn = sound.file.read_bytes(), random.Random(0)
    assert sound.cut()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= drawn.randrange(1, 256)
        for row, damaged, is_true in zip(rows, (content[:position], changed), sound[1:], strict=True):
            if is_true is None:
                continue
            sound.file.write_bytes(damaged)
            row.trials += 1
            try:
                if not is_true():
                    row.blame("wrong", f"at byte {position} something was read that was not written")
            except UserError:
                pass
            except Exception as error:
                row.blame("wrong", f"at byte {position}: {error!r}")


def record(folder: Path) -> Sound:
    """A run's own record."""
    written = Record(folder / "a", {"seed": 0})
    written.define({"version": 3})
    for epoch in range(4):
        values = {"label_free/rankme": 10 / 3 + epoch, "x": math.nan}
        written.milestone(Milestone(epoch, values, {"spectrum/backbone": (1.0,)}, {"correct/x": "/w=="}))
    written.end("completed", 3)
    return Sound(written.path, *true_runs(folder))


def wandb(folder: Path) -> Sound:
    """An offline run of W&B."""
    file = folder / "run-a.wandb"
    logged = [{"epoch": epoch, "label_free/rankme": 10 / 3 + epoch, "train/loss": 0.5} for epoch in range(4)]
    summary = {"completion/status": "completed", "completion/epoch": 3}
    write_run(file, "a", {"seed": 0, "definition": {"version": 3}}, logged, summary)
    return Sound(file, *true_runs(folder))


def true_runs(folder: Path) -> list[Callable[[], bool]]:
    """Whether what is read of the one run is what is there now, and all of it where the run is finished."""
    (whole,) = read_offline(folder).runs
    truth = figures(whole)

    def is_true() -> bool:
        found = read_offline(folder)
        are_true = all(
            figures(one) == truth or (one.state != "finished" and figures(one).items() <= truth.items())
            for one in found.runs
        )
        return are_true and len(found.runs) + len(found.unreadable) > 0

    return [is_true] * 2


def checkpoint(folder: Path) -> Sound:
    """A checkpoint of a milestone."""
    file, weights = folder / "milestone-0001.ckpt", torch.arange(32.0)
    torch.save({"epoch": 0, "train_config": {"epochs": 7}, "state_dict": {"weight": weights}}, file)

    def is_true() -> bool:
        stored = read_stored(file)
        known = stored.state.get("weight", torch.zeros(0))
        return torch.equal(known, weights) and (stored.epoch, stored.config.epochs) == (1, 7)

    return Sound(file, is_true, is_true)


def umap(folder: Path) -> Sound:
    """UMAP points of a milestone; a damaged file is passed over."""
    file, points = folder / "umap-0001.npz", np.arange(30, dtype=np.float32).reshape(10, 3)
    np.savez_compressed(file, points=points)

    def is_true() -> bool:
        return all(np.array_equal(found.points, points) for found in read_umap_files(folder))

    return Sound(file, is_true, is_true)


def ledger(folder: Path) -> Sound:
    """The journal of a sweep: one that is cut shows the sweep as it stood before, or none."""
    written = Ledger(folder, None, 3, 5, {"method": "random"})
    run = written.begin(Agent("aaaaaaaa", "here"))
    written.note(run, config={"x": 0.1, "g": {"y": [1, None]}}, coordinates={"x": 0.3})
    truth = written.state
    (known,) = truth.runs

    def is_true() -> bool:
        found = read_sweep(folder)
        if found is None:
            return True
        before = [
            replace(known, config=c, coordinates=x)
            for c in ({}, known.config)
            for x in (None, known.coordinates)
        ]
        return replace(found, runs=()) == replace(truth, runs=()) and all(one in before for one in found.runs)

    return Sound(folder / "journal.log", is_true, None)


def records(folder: Path) -> Sound:
    """Exported runs; the line end behind them may be missing."""
    file = folder / "runs.json"
    whole = run("a", milestones=curve((0, 1.0), (5, 2.5), accuracy=0.5), note=[1, {"x": None}])
    killed = run("c", milestones=curve((5, 3.0)), state="crashed", detail="was killed")
    file.write_text(write_records(sweep(whole, run("b", 3.0), killed)))
    truth = read_records(file).runs
    return Sound(file, lambda: read_records(file).runs == truth, None)


def image(form: str, folder: Path) -> Sound:
    """An image of one format; what cannot be read is named. Few formats have checksums for changed bytes."""
    file = folder / "a.png"
    noise = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, format=form)
    truth = pixels_of(folder)
    return Sound(
        file,
        lambda: np.array_equal(pixels_of(folder), truth),
        lambda: pixels_of(folder).shape == truth.shape,
    )


def pixels_of(folder: Path) -> np.ndarray:
    """The images of a folder as train.py decodes them."""
    recipe = paper_recipe("simclr")
    return folders.folder(replace(recipe, dataset="folder", data_dir=str(folder), image_size=8)).train.pixels


if __name__ == "__main__":
    sys.exit(main())
