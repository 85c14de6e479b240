import contextlib
import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from selector.config import paper_recipe
from selector.errors import UserError
from selector.training.data import load_images
from selector.training.image_folder import read_folder


def paint(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (20, 12)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    for name, colour in (("cat", (255, 0, 0)), ("dog", (0, 255, 0))):
        for number in range(3):
            paint(tmp_path / name / f"{number}.png", colour)
    content = read_folder(tmp_path, 8, skip_bad=False)
    assert content.pixels.shape == (6, 3, 8, 8)
    assert content.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert content.pixels[0, :, 0, 0].tolist() == [255, 0, 0]
    assert content.pixels[5, :, 0, 0].tolist() == [0, 255, 0]


@pytest.mark.parametrize(
    "names", [("a.png", "b.png"), ("one/a.png", "one/b.png"), ("a.png", "x/b.png", "y/c.png")]
)
def test_trees_that_label_nothing_are_unlabelled(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        paint(tmp_path / name, (9, 9, 9))
    content = read_folder(tmp_path, 4, skip_bad=False)
    assert content.labels is None
    assert len(content.pixels) == len(names)


def test_train_and_test_folders_are_the_splits(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("test", 2)):
        for name, colour in (("cat", (255, 0, 0)), ("dog", (0, 0, 255))):
            for number in range(count):
                paint(tmp_path / split / name / f"{number}.jpg", colour)
    config = dataclasses.replace(
        paper_recipe("simclr"),
        dataset="folder",
        data_dir=str(tmp_path),
        batch_size=2,
        image_size=8,
        clusters=None,
    )
    with pytest.raises(UserError, match="4 evaluation images are too few for 2 and 4 clusters"):
        load_images(config)
    content = read_folder(tmp_path, 8, skip_bad=False)
    assert content.labels.tolist() == [0] * 4 + [1] * 4
    assert content.test.labels.tolist() == [0, 0, 1, 1]


def test_a_test_class_that_training_never_saw_is_refused(tmp_path: Path) -> None:
    for name in ("train/cat/a.png", "train/dog/a.png", "test/cat/a.png", "test/eel/a.png"):
        paint(tmp_path / name, (1, 2, 3))
    with pytest.raises(UserError, match="class 'eel'"):
        read_folder(tmp_path, 8, skip_bad=False)


@pytest.mark.parametrize(
    "damage",
    [lambda b: b"", lambda b: b"hello", lambda b: b[: len(b) // 2]],
    ids=["empty", "text", "truncated"],
)
def test_an_unreadable_image_is_named_and_skipped_only_on_request(tmp_path: Path, damage) -> None:
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.jpg")
    bad = tmp_path / "2.jpg"
    bad.write_bytes(damage(bad.read_bytes()))
    with pytest.raises(UserError, match=r"1 of 4 images cannot be read, the first is '.*2\.jpg'") as caught:
        read_folder(tmp_path, 8, skip_bad=False)
    assert "\n" not in str(caught.value)
    content = read_folder(tmp_path, 8, skip_bad=True)
    assert len(content.pixels) == 3
    assert content.skipped == (str(bad),)


def test_a_named_pipe_is_an_unreadable_image(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", (9, 9, 9))
    os.mkfifo(tmp_path / "z.png")
    with pytest.raises(UserError, match=r"1 of 2 images .*z\.png' \(it is not a regular file\)"):
        read_folder(tmp_path, 8, skip_bad=False)
    assert read_folder(tmp_path, 8, skip_bad=True).skipped == (str(tmp_path / "z.png"),)


def test_a_folder_with_no_image_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"no image in .*expected files named .*\.png"):
        read_folder(tmp_path, 8, skip_bad=False)


def test_unusual_modes_become_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (6, 6), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    Image.fromarray(np.full((6, 6), 65535, dtype=np.uint16)).save(tmp_path / "b.png")
    palette = Image.new("P", (6, 6), 1)
    palette.putpalette([0, 0, 0, 90, 150, 210])
    palette.save(tmp_path / "c.png")
    Image.new("RGBA", (6, 6), (10, 20, 30, 0)).save(tmp_path / "d.png")
    Image.new("L", (6, 6), 77).save(tmp_path / "e.png")
    pixels = read_folder(tmp_path, 4, skip_bad=False).pixels
    assert pixels[0, 0].float().mean() > 200  # no cyan: red stays
    assert pixels[1].min() == 255  # 16-bit white is white, not clipped noise
    assert pixels[2, :, 0, 0].tolist() == [90, 150, 210]  # the colour, not its number
    assert pixels[3, :, 0, 0].tolist() == [10, 20, 30]
    assert pixels[4, :, 0, 0].tolist() == [77, 77, 77]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", (0, 0, 0))
    (tmp_path / "loop").symlink_to(tmp_path)
    assert len(read_folder(tmp_path, 4, skip_bad=False).pixels) == 1


@pytest.mark.parametrize("side", [10_000, 14_000])  # of the smaller Pillow itself would only warn
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    Image.new("1", (side, side)).save(tmp_path / "bomb.png")
    with pytest.raises(UserError, match="exceeds limit"):
        read_folder(tmp_path, 8, skip_bad=False)


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
    folder = tmp_path / "images"
    paint(folder / "a.png", (0, 0, 0))
    program = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    (folder / "b.png").write_text(program)
    with pytest.raises(UserError, match=r"1 of 2 images cannot be read, the first is '.*b\.png'"):
        read_folder(folder, 8, skip_bad=False)
    assert not (tmp_path / "executed").exists()
    with Image.open(folder / "b.png") as image, contextlib.suppress(OSError):
        image.load()
    assert (tmp_path / "executed").exists()  # the trap works


def test_the_content_tells_the_format_and_not_the_name(tmp_path: Path) -> None:
    for number, (kind, colour) in enumerate(
        (("PNG", 10), ("BMP", 20), ("GIF", 30), ("TIFF", 40), ("WEBP", 50))
    ):
        Image.new("L", (6, 6), colour).convert("RGB").save(tmp_path / f"{number}.jpg", format=kind)
    pixels = read_folder(tmp_path, 6, skip_bad=False).pixels
    assert [int(image.float().mean().round()) for image in pixels] == pytest.approx(
        [10, 20, 30, 40, 50], abs=1
    )


@pytest.mark.parametrize(
    "name", ["实验.png", "صورة.png", "🧪 ü.png", "a\nb.png", "-rf.png", "\x1b[31m.png", b"\xff\xfe.png"]
)
def test_names_in_any_script(tmp_path: Path, name: str | bytes) -> None:
    path = tmp_path / (os.fsdecode(name) if isinstance(name, bytes) else name)
    paint(path, (1, 2, 3))
    (tmp_path / "bad.png").write_bytes(b"")
    content = read_folder(tmp_path, 4, skip_bad=True)
    assert (len(content.pixels), content.skipped) == (1, (str(tmp_path / "bad.png"),))
    path.write_bytes(b"")
    with pytest.raises(UserError, match="2 of 2 images cannot be read") as caught:
        read_folder(tmp_path, 4, skip_bad=False)
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
                assert read_folder(tmp_path, 8, skip_bad=False).pixels.shape == (1, 3, 8, 8)
