"""Folders of images: what is read, what it becomes, and what is said of the rest."""

import contextlib
import dataclasses
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from sklearn.datasets import load_digits

from selector.config import paper_recipe
from selector.errors import UserError
from selector.training.data import ImageSplits, load_images
from selector.training.datasets import Loaded
from selector.training.datasets.folder import folder

SMALL = {"dataset": "folder", "batch_size": 2, "image_size": 8, "clusters": 2}


def read(path: Path, size: int = 8, **changes: Any) -> Loaded:
    recipe = paper_recipe("simclr")
    return folder(
        dataclasses.replace(recipe, dataset="folder", data_dir=str(path), image_size=size, **changes)
    )


def images(path: Path, **changes: Any) -> ImageSplits:
    return load_images(dataclasses.replace(paper_recipe("simclr"), data_dir=str(path), **(SMALL | changes)))


def paint(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (20, 12)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def noise(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    for name, colour in (("cat", (255, 0, 0)), ("dog", (0, 255, 0))):
        for number in range(3):
            paint(tmp_path / name / f"{number}.png", colour)
    found = read(tmp_path).train
    assert found.pixels.shape == (6, 3, 8, 8)
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.pixels[[0, 5], :, 0, 0].tolist() == [[255, 0, 0], [0, 255, 0]]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a.png", "b.png"), "unlabelled"),
        (("one/a.png", "one/b.png"), "unlabelled: all of them lie in 'one'"),
        (("a.png", "x/b.png", "y/c.png"), "unlabelled: 'a.png' lies next to the folders"),
        (("train/x/a.png", "train/y/b.png", "test/c.png"), "unlabelled: 'test' has images that are in no"),
    ],
)
def test_trees_that_label_nothing_are_unlabelled_and_say_why(tmp_path: Path, names, said: str) -> None:
    for name in names:
        paint(tmp_path / name, (9, 9, 9))
    found = read(tmp_path, 4)
    assert found.train.labels is None
    assert len(found.train.pixels) == sum("test" not in name for name in names)
    assert [note.replace(f"{tmp_path}/", "").startswith(said) for note in found.notes] == [True]


def test_train_and_test_folders_are_the_splits(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("test", 2)):
        for name, colour in (("cat", (255, 0, 0)), ("dog", (0, 0, 255))):
            for number in range(count):
                paint(tmp_path / split / name / f"{number}.jpg", colour)
    with pytest.raises(UserError, match="4 evaluation images are too few for 2 and 4 clusters"):
        images(tmp_path, clusters=None)
    found = read(tmp_path)
    assert found.train.labels.tolist() == [0] * 4 + [1] * 4
    assert found.test.labels.tolist() == [0, 0, 1, 1]


def test_splits_are_found_whatever_their_capitals_and_what_lies_beside_them_is_said(tmp_path: Path) -> None:
    for name in ("Train/x/a", "Train/y/b", "TEST/x/c", "val/x/d", "more/e"):
        paint(tmp_path / f"{name}.png", (9, 9, 9))
    found = read(tmp_path)
    assert (len(found.train.pixels), found.test.labels.tolist()) == (2, [0])
    assert found.notes == (
        "all evaluation images are of class 'x'",
        "ignored: 2 outside of Train and TEST",
    )
    (tmp_path / "TEST/x/c.png").write_bytes(b"?")
    with pytest.raises(UserError, match=r"no image in '.*TEST' can be read, of 1: repair them"):
        read(tmp_path, skip_bad_images=True)


def test_a_class_that_training_never_saw_is_refused_unless_folders_are_no_classes(tmp_path: Path) -> None:
    for name in ("train/2019-01/a.png", "train/2019-02/a.png", "test/2020-01/a.png", "test/2020-02/a.png"):
        paint(tmp_path / name, (1, 2, 3))
    with pytest.raises(UserError, match="class '2020-01'"):
        read(tmp_path)
    found = read(tmp_path, labels=False)
    assert (found.train.labels, found.test.labels, len(found.test.pixels)) == (None, None, 2)


@pytest.mark.parametrize("labels", [True, False])
def test_date_folders_are_split_at_random_where_they_are_too_small(tmp_path: Path, labels: bool) -> None:
    for number in range(240):
        noise(tmp_path / f"2019-{number // 4:02}" / f"{number}.png", number)
    found = images(tmp_path, labels=labels, clusters=5)
    assert (len(found.train), len(found.evaluation)) == (192, 48)  # fewer than the 60 folders
    assert ("held out at random" in found.summary) == labels


def test_linked_folders_are_followed_and_a_loop_of_links_ends(tmp_path: Path) -> None:
    for name in ("elsewhere/dog/a.png", "images/cat/a.png"):
        paint(tmp_path / name, (0, 0, 0))
    (tmp_path / "images" / "dog").symlink_to(tmp_path / "elsewhere" / "dog")
    (tmp_path / "images" / "cat" / "loop").symlink_to(tmp_path / "images")
    (tmp_path / "images" / "fish").symlink_to(tmp_path / "gone")
    found = read(tmp_path / "images", 4)
    ignored = ("ignored: 1 behind a broken link, 1 behind a link to what is read anyway",)
    assert (found.train.labels.tolist(), found.notes) == ([0, 1], ignored)
    (tmp_path / "images" / "cat" / "b.png").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"b\.png' \(it is a broken link\)"):
        read(tmp_path / "images", 4)


def test_files_that_a_plug_in_reads_name_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.HEIC").write_bytes(b"?")
    with pytest.raises(UserError, match=r"; there are 1 \.heic \(pip install pillow-heif reads them\)$"):
        read(tmp_path)


def test_what_there_is_and_what_is_ignored_is_one_line(tmp_path: Path) -> None:
    for number in range(20):
        split, kind = ("train", number // 4) if number < 16 else ("test", number)  # 4 images, 4 times each
        noise(tmp_path / split / ("cat", "dog")[number % 2] / f"{number}.png", kind)
        (tmp_path / "train" / "cat" / f"{number}.xyz").write_bytes(b"?")
    (tmp_path / "train" / "notes").write_text("?")
    with pytest.raises(UserError, match="4 evaluation images are too few"):
        images(tmp_path)
    for number in range(4):
        noise(tmp_path / "test" / "cat" / f"more{number}.png", 100 + number)
    assert images(tmp_path).summary == (
        f"16 + 8 images of 2 classes from {tmp_path}, 8 × 8, 3 channels, range 0–255;"
        " ignored: 20 .xyz, 1 without extension;"
        " with 8 evaluation images, pretext_score can hardly tell runs apart (use 100 or more);"
        " 12 exact duplicates (they are nearest neighbours: idest, CLID and kNN mean less)"
    )


@pytest.mark.parametrize(
    "damage",
    [lambda b: b"", lambda b: b"hello", lambda b: b[: len(b) // 2]],
    ids=["empty", "text", "truncated"],
)
def test_an_unreadable_image_is_named_and_skipped_only_on_request(tmp_path: Path, damage) -> None:
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.jpg")
    bad = tmp_path / "2.jpg"
    bad.write_bytes(damage(bad.read_bytes()))
    with pytest.raises(UserError, match=r"1 of 4 images cannot be read, the first is '.*2\.jpg'") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
    found = read(tmp_path, skip_bad_images=True)
    assert (len(found.train.pixels), found.skipped) == (3, (str(bad),))


def test_a_named_pipe_is_an_unreadable_image(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", (9, 9, 9))
    os.mkfifo(tmp_path / "z.png")
    with pytest.raises(UserError, match=r"1 of 2 images .*z\.png' \(it is not a regular file\)"):
        read(tmp_path)
    assert read(tmp_path, skip_bad_images=True).skipped == (str(tmp_path / "z.png"),)


def test_unusual_modes_become_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (6, 6), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    Image.fromarray(np.full((6, 6), 65535, dtype=np.uint16)).save(tmp_path / "b.png")
    palette = Image.new("P", (6, 6), 1)
    palette.putpalette([0, 0, 0, 90, 150, 210])
    palette.save(tmp_path / "c.png")
    Image.new("L", (6, 6), 77).save(tmp_path / "e.png")
    pixels = read(tmp_path, 4).train.pixels
    assert pixels[0, 0].mean() > 200  # no cyan: red stays
    assert pixels[1].min() == 255  # beside 8-bit images, white is the largest number that there is
    assert pixels[2:, :, 0, 0].tolist() == [[90, 150, 210], [77, 77, 77]]  # the colour, not its number


@pytest.mark.parametrize(("background", "expected"), [("white", 255), ("#000000", 0)])
def test_what_is_transparent_shows_the_background(tmp_path: Path, background: str, expected: int) -> None:
    behind = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for number, colours in enumerate((behind, np.zeros_like(behind))):
        alpha = np.zeros((8, 8, 1), np.uint8)
        alpha[2:6, 2:6] = 255
        colours[2:6, 2:6] = (10, 20, 30)
        Image.fromarray(np.concatenate([colours, alpha], axis=2)).save(tmp_path / f"{number}.png")
    first, second = read(tmp_path, background=background).train.pixels
    assert np.array_equal(first, second)
    assert (first[:, 0, 0].tolist(), first[:, 4, 4].tolist()) == ([expected] * 3, [10, 20, 30])


def ramp(low: float, high: float, kind: str) -> np.ndarray:
    return np.linspace(low, high, 64).reshape(8, 8).astype(kind)


@pytest.mark.parametrize(
    ("arrays", "levels", "found"),
    [
        ([ramp(-1024, -24, "i4")], 64, (-1024, -24)),
        ([ramp(-1, 1, "f4")], 64, (-1, 1)),
        ([ramp(0, 4095, "u2")], 64, (0, 4095)),
        ([ramp(0, 3000, ">u2")], 64, (0, 3000)),
        ([np.full((8, 8), 1000, "u2"), np.full((8, 8), 4000, "u2")], 2, (1000, 4000)),
    ],
)
def test_numbers_keep_their_levels_in_the_range_of_the_data_set(tmp_path, arrays, levels, found) -> None:
    for number, array in enumerate(arrays * 12):
        for part in ("train", "test"):
            (tmp_path / part).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / part / f"{number}.tif", array)
    splits = images(tmp_path)
    assert splits.pixel_range == found
    assert len(splits.train.pixels.unique()) == levels
    assert (int(splits.train.pixels.min()), int(splits.train.pixels.max())) == (0, 255)
    assert f"range {found[0]:g}–{found[1]:g}" in splits.summary


COLOURS = np.stack([ramp(0, 4095, "u2")] * 3, axis=2)
FOUR = np.dstack([COLOURS, COLOURS[..., 0]])
PAGES = np.stack([ramp(0, 4095, "u2") + page for page in range(5)]).astype("u2")


def png_of_16_bits(path: Path, array: np.ndarray) -> None:
    """Which Pillow cannot write."""
    height, width, bands = array.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[bands], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "array", "found"),
    [
        ("8 signed bits.tif", ramp(-128, 127, "i1"), (-128, 127)),
        ("32 bits.tif", ramp(0, 4_000_000_000, "u4"), (0, 4_000_000_000)),
        ("colours.tif", COLOURS, (0, 4095)),
        ("colours.png", COLOURS, (0, 4095)),
        ("floats.tif", COLOURS.astype("f4"), (0, 4095)),
    ],
)
def test_numbers_that_pillow_would_cut_or_wrap(tmp_path: Path, name, array, found, channels: int) -> None:
    (png_of_16_bits if name.endswith("png") else tifffile.imwrite)(tmp_path / name, array)
    pixels = read(tmp_path, channels=channels).train.pixels
    assert pixels.shape == (1, channels, 8, 8)
    assert len(np.unique(pixels)) == 64
    assert (pixels.min(), pixels.max()) == pytest.approx(found)


@pytest.mark.parametrize(
    ("name", "array", "written", "said"),
    [
        ("a.png", FOUR, {}, "transparent and has 16 bits"),
        ("a.png", COLOURS[..., :2], {}, "transparent and has 16 bits"),
        (
            "a.tif",
            np.dstack([COLOURS, COLOURS[..., 0]]),
            {"extrasamples": [2]},
            "transparent and has 16 bits",
        ),
        ("a.tif", PAGES, {}, "5 pages: pass --channels 5 to take them as bands, or save each"),
        ("a.tif", PAGES.astype("u1")[:3], {"photometric": "minisblack"}, "3 pages: save each as a file"),
        ("a.tif", np.stack([COLOURS] * 4), {"photometric": "rgb"}, "4 pages: save each as a file"),
        ("a.tif", COLOURS.astype("u1")[..., :2], {"planarconfig": 1}, "2 bands: pass --channels 2"),
        ("a.tif", ramp(0, 1, "c8"), {}, "complex64 numbers: save their real part"),
    ],
)
def test_what_would_be_lost_silently_is_refused(tmp_path: Path, name, array, written, said: str) -> None:
    (png_of_16_bits if name.endswith("png") else tifffile.imwrite)(tmp_path / name, array, **written)
    with pytest.raises(UserError, match=said):
        read(tmp_path)


def test_images_of_several_depths(tmp_path: Path) -> None:
    for name, array in (("16.tif", ramp(0, 4095, "u2")), ("float.tif", ramp(0, 1, "f4"))):
        tifffile.imwrite(tmp_path / name, array)
    assert read(tmp_path).train.pixels.max() == 4095
    paint(tmp_path / "8.png", (1, 2, 3))
    with pytest.raises(UserError, match=r"'.*16\.tif' holds numbers and other images are 8-bit"):
        read(tmp_path)
    (tmp_path / "float.tif").unlink()
    assert read(tmp_path).notes[-1] == "65535 is white in 16-bit images, because there are 8-bit ones too"


def test_a_pixel_that_is_not_a_number_is_named(tmp_path: Path) -> None:
    for number in range(12):
        array = ramp(0, 1, "f4")
        array[0, 0] = np.nan if number == 3 else 0
        tifffile.imwrite(tmp_path / f"{number:02}.tif", array)
    with pytest.raises(UserError, match=r"1 of 12 images .*03\.tif' \(it holds pixels that are NaN"):
        images(tmp_path)


@pytest.mark.parametrize(("bands", "kind"), [(4, "u1"), (13, "u2")])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_more_than_three_bands_are_used_or_refused(
    tmp_path: Path, bands: int, kind: str, planar: str
) -> None:
    grey = (load_digits().images[:40] * 7).astype(kind)
    for number, digit in enumerate(grey):
        cube = np.stack([digit * (band % 3) for band in range(bands)], axis=2 if planar == "contig" else 0)
        tifffile.imwrite(tmp_path / f"{number}.tif", cube, photometric="minisblack", planarconfig=planar)
    with pytest.raises(UserError, match=f"it has {bands} bands: pass --channels {bands}"):
        images(tmp_path)
    with pytest.raises(UserError, match=rf"it has {bands} bands: pass --channels {bands}\)$"):  # no repairs
        images(tmp_path, channels=5, probe="fast")
    splits = images(tmp_path, channels=bands, probe="fast")
    assert splits.train.pixels.shape == (32, bands, 8, 8)
    assert "no colour jitter and no greyscale views" in splits.summary
    blank, once, twice = splits.train.pixels[:, :3].float().mean((0, 2, 3)).tolist()
    assert (blank, twice) == (0, pytest.approx(2 * once, rel=0.02))  # the bands, in their order


@pytest.mark.parametrize(("channels", "expected"), [(1, [76]), (3, [255, 0, 0])])
def test_colours_and_grey(tmp_path: Path, channels: int, expected: list[int]) -> None:
    paint(tmp_path / "a.png", (255, 0, 0))  # of grey, 0.299 is red
    assert read(tmp_path, channels=channels).train.pixels[0, :, 0, 0].tolist() == expected


@pytest.mark.parametrize("side", [10_000, 14_000])  # of the smaller Pillow itself would only warn
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    Image.new("1", (side, side)).save(tmp_path / "bomb.png")
    with pytest.raises(UserError, match="exceeds limit"):
        read(tmp_path)


def test_a_program_that_calls_itself_an_image_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostScript is a program, and Pillow would hand it over to Ghostscript whatever the file's name says."""
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/executed\n")
    (commands / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # Pillow looks once
    pictures = tmp_path / "images"
    paint(pictures / "a.png", (0, 0, 0))
    program = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    (pictures / "b.png").write_text(program)
    with pytest.raises(UserError, match=r"1 of 2 images cannot be read, the first is '.*b\.png'"):
        read(pictures)
    assert not (tmp_path / "executed").exists()
    with Image.open(pictures / "b.png") as image, contextlib.suppress(OSError):
        image.load()
    assert (tmp_path / "executed").exists()  # the trap works


def test_the_content_tells_the_format_and_not_the_name(tmp_path: Path) -> None:
    for number, (kind, colour) in enumerate(
        (("PNG", 10), ("BMP", 20), ("GIF", 30), ("TIFF", 40), ("WEBP", 50))
    ):
        Image.new("L", (6, 6), colour).convert("RGB").save(tmp_path / f"{number}.jpg", format=kind)
    pixels = read(tmp_path, 6).train.pixels
    assert [int(image.mean().round()) for image in pixels] == pytest.approx([10, 20, 30, 40, 50], abs=1)


@pytest.mark.parametrize(
    "name", ["实验.png", "صورة.png", "🧪 ü.png", "a\nb.png", "-rf.png", "\x1b[31m.png", b"\xff\xfe.png"]
)
def test_names_in_any_script(tmp_path: Path, name: str | bytes) -> None:
    path = tmp_path / (os.fsdecode(name) if isinstance(name, bytes) else name)
    paint(path, (1, 2, 3))
    (tmp_path / "bad.png").write_bytes(b"")
    found = read(tmp_path, 4, skip_bad_images=True)
    assert (len(found.train.pixels), found.skipped) == (1, (str(tmp_path / "bad.png"),))
    path.write_bytes(b"")
    with pytest.raises(UserError, match="2 of 2 images cannot be read") as caught:
        read(tmp_path, 4)
    assert str(caught.value).isprintable()


def test_damaged_bytes_never_end_the_program(tmp_path: Path) -> None:
    """Whatever Pillow's decoders raise for them is one unreadable image."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    generator = np.random.default_rng(1)
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        noise.save(tmp_path / "sound", format=kind)
        sound = (tmp_path / "sound").read_bytes()
        for trial in range(60):
            content = bytearray(sound)
            for position in generator.integers(0, len(content), 1 + trial % 4):
                content[position] = generator.integers(256)
            (tmp_path / "a.png").write_bytes(
                content if trial % 3 else content[: generator.integers(len(content))]
            )
            with contextlib.suppress(UserError):
                assert read(tmp_path).train.pixels.shape == (1, 3, 8, 8)


def test_animations_are_counted_and_give_their_first_frame(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    frames[1].save(tmp_path / "still.gif")
    loaded = read(tmp_path)
    assert loaded.notes[-1] == "2 animations, of which only the first frame is read"
    assert [pixels[:, 0, 0].argmax() for pixels in loaded.train.pixels] == [0, 0, 2]
