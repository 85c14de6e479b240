"""Small files of every kind cut at every byte, and with every byte changed: read as written, or refused.

    python benchmarks/reliability/damage.py

A trial is one damaged file. It may be refused by one of the stated errors, or say of its run that it has not
finished; a figure that was not in the sound file, or any other exception, is wrong. Of images, a pixel that
was not in the sound one counts where the file was cut; few of their formats have checksums for changed bytes.
"""

import itertools
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

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


def main() -> int:
    """Damage each kind of file, print a row each."""
    with tempfile.TemporaryDirectory() as name:
        kinds = (record, wandb, checkpoint, umap)
        rows = [row for kind in kinds for row in damage(kind, Path(name) / kind.__name__)]
        # JSON has no checksums: of these only the cuts are judged by their figures.
        rows += [next(iter(damage(kind, Path(name) / kind.__name__))) for kind in (ledger, records)]
        rows += images(Path(name) / "images")
    return print_table(rows)


def damage(kind: Callable[[Path], tuple[Path, Callable[[], bool]]], folder: Path) -> Iterator[Row]:
    """Cut a file everywhere, then change each of its bytes; `kind` gives it and judges what is read."""
    folder.mkdir()
    file, is_true = kind(folder)
    sound = file.read_bytes()
    assert is_true()
    generator = random.Random(0)

    def changed(position: int) -> bytes:
        content = bytearray(sound)
        content[position] ^= generator.randrange(1, 256)
        return bytes(content)

    for how, make in (("cut at every byte", lambda end: sound[:end]), ("each byte changed", changed)):
        row = Row(f"{kind.__name__} file: {how}")
        for position in range(len(sound)):
            file.write_bytes(make(position))
            row.trials += 1
            try:
                if not is_true():
                    row.blame("wrong", f"at byte {position} figures were read that were not written")
            except UserError:
                pass
            except Exception as error:
                row.blame("wrong", f"at byte {position}: {error!r}")
        yield row


def record(folder: Path) -> tuple[Path, Callable[[], bool]]:
    """A run's own record."""
    written = Record(folder / "a", {"seed": 0})
    written.define({"version": 3})
    for epoch in range(4):
        written.milestone(
            Milestone(epoch, {"label_free/rankme": 10 / 3 + epoch}, {"spectrum/backbone": (1.0,)})
        )
    written.end("completed", 3)
    return written.path, true_runs(folder)


def wandb(folder: Path) -> tuple[Path, Callable[[], bool]]:
    """An offline run of W&B."""
    file = folder / "run-a.wandb"
    logged = [{"epoch": epoch, "label_free/rankme": 10 / 3 + epoch, "train/loss": 0.5} for epoch in range(4)]
    summary = {"completion/status": "completed", "completion/epoch": 3}
    write_run(file, "a", {"seed": 0, "definition": {"version": 3}}, logged, summary)
    return file, true_runs(folder)


def true_runs(folder: Path) -> Callable[[], bool]:
    """Whether what is read of the one run is what is there now, and all of it where the run is finished."""
    (whole,) = read_offline(folder).runs
    truth = figures(whole)

    def is_true() -> bool:
        found = read_offline(folder)
        for one in found.runs:
            if not figures(one).items() <= truth.items() or (
                one.state == "finished" and figures(one) != truth
            ):
                return False
        return len(found.runs) + len(found.unreadable) > 0

    return is_true


def checkpoint(folder: Path) -> tuple[Path, Callable[[], bool]]:
    """A checkpoint of a milestone."""
    file, weights = folder / "milestone-0001.ckpt", torch.arange(32.0)
    torch.save({"epoch": 0, "train_config": {"epochs": 7}, "state_dict": {"weight": weights}}, file)

    def is_true() -> bool:
        stored = read_stored(file)
        known: Any = stored.state.get("weight")
        return (
            known is not None
            and torch.equal(known, weights)
            and (stored.epoch, stored.config.epochs) == (1, 7)
        )

    return file, is_true


def umap(folder: Path) -> tuple[Path, Callable[[], bool]]:
    """UMAP points of a milestone; a damaged file is passed over."""
    file, points = folder / "umap-0001.npz", np.arange(30, dtype=np.float32).reshape(10, 3)
    np.savez_compressed(file, points=points)
    return file, lambda: all(np.array_equal(found.points, points) for found in read_umap_files(folder))


def ledger(folder: Path) -> tuple[Path, Callable[[], bool]]:
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

    return folder / "journal.log", is_true


def records(folder: Path) -> tuple[Path, Callable[[], bool]]:
    """Exported runs; the line end behind them may be missing."""
    file = folder / "runs.json"
    file.write_text(write_records(sweep(run("a", milestones=curve((0, 1.0), (5, 2.5))), run("b", 3.0))))
    truth = read_records(file).runs
    return file, lambda: read_records(file).runs == truth


def images(folder: Path) -> list[Row]:
    """Images of every format that is read; what cannot be read is named, and nothing else happens."""
    folder.mkdir()
    file, formats = folder / "a.png", ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8))
    rows = [Row("images: cut at every byte"), Row("images: each byte changed")]
    generator = random.Random(0)
    for kind in formats:
        noise.save(file, format=kind)
        sound, truth = file.read_bytes(), pixels_of(folder)
        for position, row in itertools.product(range(len(sound)), rows):
            content = bytearray(sound)
            if row is rows[0]:
                del content[position:]
            else:
                content[position] ^= generator.randrange(1, 256)
            file.write_bytes(content)
            row.trials += 1
            try:
                pixels = pixels_of(folder)
            except UserError:
                continue
            except Exception as error:
                row.blame("wrong", f"{kind}, byte {position}: {error!r}")
                continue
            if pixels.shape != truth.shape or (row is rows[0] and not np.array_equal(pixels, truth)):
                row.blame("wrong", f"{kind}, byte {position} of {len(sound)}: other pixels")
    return rows


def pixels_of(folder: Path) -> np.ndarray:
    """The images of a folder as train.py decodes them."""
    recipe = paper_recipe("simclr")
    return folders.folder(replace(recipe, dataset="folder", data_dir=str(folder), image_size=8)).train.pixels


if __name__ == "__main__":
    sys.exit(main())
