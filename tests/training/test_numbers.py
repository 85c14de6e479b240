"""Images of numbers, made of real digits: trained on as a user would, ranked, and embedded again."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from sklearn.datasets import load_digits
from tiny_encoder import NARROW, trained as small_encoder

import train
from selector.cli import main
from selector.errors import UserError
from selector.record import read_record
from selector.training.embed_files import embed_files, images_below
from selector.training.exported import encoder_of, load_encoder
from selector.training.stored import read_stored

DIGITS = load_digits().images[:60]  # levels from 0 to 16
KINDS = {
    "uint16": (lambda digit: (1000 + 250 * digit).astype(np.uint16), 3, (1000, 5000)),
    "float32": (lambda digit: (digit / 8 - 1).astype(np.float32), 3, (-1, 1)),
    "bands": (
        lambda digit: np.stack([digit * (100 + band) for band in range(13)], -1).astype(np.uint16),
        13,
        (0, 1792),
    ),
}


def write(path, image):
    """A TIFF whose bands, if there are several, are samples of a pixel, as satellites' are."""
    bands = {"photometric": "minisblack", "planarconfig": "contig"} if image.ndim == 3 else {}
    tifffile.imwrite(path, image, **bands)


@pytest.fixture(scope="module", params=KINDS)
def trained(request, tmp_path_factory):
    make, channels, limits = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "images").mkdir()
    for number, digit in enumerate(DIGITS):
        write(folder / "images" / f"{number}.tif", make(digit))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        words = (
            f"--dataset folder --data-dir {folder}/images --clusters 5 --image-size 8 --backbone resnet-9"
            " --backbone-width 0.0625 --projector-hidden 8 --projector-dim 8 --epochs 1 --batch-size 24"
            f" --metrics spectral,pretext --probe none --device cpu --threads 1 --output-dir {folder}/runs"
        )
        wide = ["--channels", "13"] if channels == 13 else []
        assert train.main([*words.split(), *wide]) == 0
    (run,) = (folder / "runs").iterdir()
    return SimpleNamespace(folder=folder, run=run, limits=limits, channels=channels)


def test_the_range_of_the_data_set_is_in_the_record_and_in_the_checkpoint(trained):
    content = read_record(trained.run / "run.jsonl")
    assert tuple(content.definition["pixel_range"]) == trained.limits
    assert content.milestones[-1].values["label_free/rankme"] > 1.05  # not one colour
    assert read_stored(trained.run / "milestone-0001.ckpt").pixel_range == trained.limits


def test_the_run_is_ranked(trained, capsys):
    assert main(["rank", str(trained.folder / "runs"), "--metric", "rankme", "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert [one["run"] for one in group["ranking"]] == [trained.run.name]


def test_embedding_the_files_again_applies_it(trained):
    encode = load_encoder(trained.run)
    assert encode.config.pixel_range == trained.limits
    paths = images_below(trained.folder / "images")[:10]
    found = embed_files(encode, paths, 4, skip_bad=False, progress=lambda *_: None)
    low, high = trained.limits
    for path, features in zip(found.files, found.features, strict=True):
        pixels = np.atleast_3d(tifffile.imread(path)).astype(np.float32)
        levels = ((pixels - low) * 255 / (high - low)).round().astype(np.uint8)
        wide = np.repeat(levels, trained.channels // levels.shape[2], axis=2)
        expected = encode(torch.from_numpy(wide).permute(2, 0, 1))[0].numpy()
        assert features == pytest.approx(expected, rel=1e-2, abs=1e-3)  # a level may be rounded otherwise


def test_an_8_bit_image_is_no_image_of_these_numbers(trained, tmp_path):
    if trained.channels == 13:
        write(tmp_path / "a.tif", np.zeros((8, 8, 13), np.uint8))
    else:
        Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"it is 8-bit, and the encoder was trained on numbers from"):
        embed_files(load_encoder(trained.run), images_below(tmp_path), 4, False, lambda *_: None)


def test_numbers_are_refused_where_training_saw_8_bits(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DIGITS[0].astype(np.uint16))
    encode = encoder_of(small_encoder(**NARROW)[0])
    with pytest.raises(UserError, match=r"it holds uint16 numbers, and the encoder was trained on 8-bit"):
        embed_files(encode, [tmp_path / "a.tif"], 4, False, lambda *_: None)


def test_an_encoder_asks_for_no_other_channels(tmp_path):
    """Its own are given; `selector embed` has no --channels."""
    encode = encoder_of(small_encoder(**NARROW)[0])
    bands, pages = np.zeros((8, 8, 5), np.uint8), np.zeros((5, 8, 8), np.uint8)
    write(tmp_path / "bands.tif", bands)
    tifffile.imwrite(tmp_path / "pages.tif", pages, photometric="minisblack")
    for name, said in (("bands", "5 bands, and the encoder takes 3"), ("pages", "5 pages: save each as")):
        with pytest.raises(UserError, match=said) as refusal:
            embed_files(encode, [tmp_path / f"{name}.tif"], 4, False, lambda *_: None)
        assert "--channels" not in str(refusal.value)
