"""Pretext scores and the oracle of the evidence sweeps, from the checkpoints that their runs kept.

    python benchmarks/pretext_scores.py evidence/simclr-cifar ...

Writes docs/evidence/pretext/<sweep>.json. Runs that it already holds are not computed again, so you can call
this while a sweep is still running. Only the pooled probe, which needs the other runs, is computed anew for
all runs when one has been added. docs/protocol.md says what is measured.
"""

import base64
import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold

from selector.config import TrainConfig
from selector.metrics.arrays import Embeddings
from selector.metrics.pooled import HELD_OUT, TRAIN, Fingerprint, pooled_probe
from selector.metrics.pretext import Answers, bootstrap_scores, score_of
from selector.metrics.probes import fast_probe
from selector.training.data import ImageSplits, load_images
from selector.training.network import build_backbone
from selector.training.pretext import Encode, PretextImages
from selector.training.stored import load_plain

RECORDS = Path(__file__).parents[1] / "docs" / "evidence" / "pretext"
FOLDS = 5
POOLED = "pooled_probe"


def main() -> int:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="sweep folder")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for folder in options.folders:
        judge(folder)
    return 0


def judge(folder: Path) -> None:
    """Adds what is missing of a sweep to its record."""
    path = RECORDS / f"{folder.name}.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    images: dict[str, ImageSplits] = {}
    trained = finished_runs(folder)
    for name, (config, checkpoints) in trained.items():
        if name in record:
            continue
        record[name] = judged(config, checkpoints, images_of(config, images))
        last = record[name]["milestones"][-1]
        print(folder.name, name, {k: v for k, v in last.items() if isinstance(v, float)}, flush=True)
        keep(path, record)
    lasts = {name: record[name]["milestones"][-1] for name in trained}
    if not folder.name.endswith("-seeds") and any(POOLED not in last for last in lasts.values()):
        prints = {
            name: fingerprint(config, checkpoints, images_of(config, images))
            for name, (config, checkpoints) in trained.items()
        }
        for name, own in prints.items():
            if others := [one for other, one in prints.items() if other != name]:
                lasts[name][POOLED] = pooled_probe(own, others)
        keep(path, record)


def finished_runs(folder: Path) -> dict[str, tuple[TrainConfig, dict[int, Path]]]:
    """Run → its configuration and the checkpoint of each milestone, for runs that were trained to the end."""
    found = {}
    # Further seeds lie in one sweep folder for each configuration.
    for run in sorted(folder.glob("runs/*")) or sorted(folder.glob("*/runs/*")):
        files = run.glob("milestone-*.ckpt")
        checkpoints = {int(file.stem.removeprefix("milestone-")): file for file in files}
        if checkpoints:
            config = config_of(load_plain(checkpoints[max(checkpoints)])["train_config"])
            if max(checkpoints) == config.epochs:
                found[run.name] = config, checkpoints
    return found


def images_of(config: TrainConfig, known: dict[str, ImageSplits]) -> ImageSplits:
    """The images of a run, loaded once for all runs that share them."""
    data = json.dumps([config.dataset, config.data_dir, config.image_size, config.train_images])
    if data not in known:
        known[data] = load_images(replace(config, evaluation_images=None))
    return known[data]


def keep(path: Path, record: dict[str, Any]) -> None:
    """Writes the record, one line a run, so that versions of the file can be compared."""
    lines = (f'"{run}": {json.dumps(record[run], separators=(",", ":"))}' for run in sorted(record))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def judged(config: TrainConfig, checkpoints: dict[int, Path], images: ImageSplits) -> dict[str, Any]:
    """One run: every milestone's parts, score and accuracy; of the last one also what intervals need."""
    asked = asked_images(config, images)
    rows = []
    for epoch in (0, *sorted(checkpoints)):
        encode = encoder_of(config, checkpoints.get(epoch), checkpoints[config.epochs])
        answers = asked.ask(encode).answers()
        correct = oracle(encode, config, images)
        row: dict[str, Any] = {"epoch": epoch, **parts(answers), "accuracy": float(correct.mean())}
        if epoch == config.epochs:
            row["bootstrap"] = [float(f"{score:.5g}") for score in bootstrap_scores(answers)]
            row["correct"] = base64.b64encode(np.packbits(correct)).decode()
        rows.append(row)
    return {"images": len(correct), "milestones": rows}


def asked_images(config: TrainConfig, images: ImageSplits) -> PretextImages:
    """Images from what the run itself evaluated: the subset of the test split that train.py draws."""
    count = len(images.evaluation.pixels)
    chosen = np.sort(np.random.default_rng(0).permutation(count)[: config.evaluation_images])
    return PretextImages.drawn(images.train.pixels, images.evaluation.pixels[chosen])


def fingerprint(config: TrainConfig, checkpoints: dict[int, Path], images: ImageSplits) -> Fingerprint:
    """That of the last checkpoint, as train.py leaves it."""
    asked, last = asked_images(config, images), checkpoints[config.epochs]
    encode = encoder_of(config, last, last)
    return Fingerprint.of(encode(asked.train[:TRAIN]), encode(asked.held_out[:HELD_OUT]))


def parts(answers: Answers) -> dict[str, float]:
    """The values of the three parts and of the score."""
    return {
        "rotation_probe": float(answers.rotations.mean()),
        "view_retrieval": float(answers.ranks.mean()),
        "hog_probe": score_of(Answers(residuals=answers.residuals, targets=answers.targets)),
        "pretext_score": score_of(answers),
    }


def encoder_of(config: TrainConfig, checkpoint: Path | None, last: Path) -> Encode:
    """Images → representations by a milestone's weights; None is the untrained network."""
    torch.manual_seed(config.seed)
    backbone, _ = build_backbone(config)
    state = load_plain(checkpoint or last)["state_dict"]
    mean, std = state["views.normalize.mean"], state["views.normalize.std"]
    if checkpoint is not None:
        weights = {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
        backbone.load_state_dict(weights)
    backbone.eval()

    @torch.no_grad()
    def encode(images: torch.Tensor) -> np.ndarray:
        scaled = (x.float() / 255 if x.dtype == torch.uint8 else x for x in torch.split(images, 100))
        return torch.cat([backbone((x - mean) / std) for x in scaled]).numpy()

    return encode


def oracle(encode: Encode, config: TrainConfig, images: ImageSplits) -> np.ndarray:
    """(N,) whether each test image is classified rightly; on digits by 5-fold cross-validation over all."""
    train, test = (encode(split.pixels) for split in (images.train, images.evaluation))
    labels, truth = images.train.labels.numpy(), images.evaluation.labels.numpy()
    if not config.dataset.startswith("digits"):
        return probed(train, labels, test, truth)
    features, classes = np.concatenate([train, test]), np.concatenate([labels, truth])
    correct = np.zeros(len(classes), bool)
    for fit, held in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(features, classes):
        correct[held] = probed(features[fit], classes[fit], features[held], classes[held])
    return correct


def probed(x: np.ndarray, y: np.ndarray, new: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Whether logistic regression on standardised features classifies each new image rightly."""
    return fast_probe(Embeddings(x, y, "backbone", "train"), Embeddings(new, truth, "backbone", "test"))


def config_of(stored: dict[str, Any]) -> TrainConfig:
    """The configuration in a checkpoint; fields that are gone since then are left out."""
    known = {field.name for field in fields(TrainConfig)}
    return TrainConfig(**{name: value for name, value in stored.items() if name in known})


if __name__ == "__main__":
    sys.exit(main())
