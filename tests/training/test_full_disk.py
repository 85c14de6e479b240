"""A checkpoint for which there is no room: one clear line, and what was saved before is whole."""

import os
from pathlib import Path

import pytest
from test_resume import Kill, equal, run, small_config

from selector.errors import UserError
from selector.training.data import load_images
from selector.training.pretrain import read_checkpoint


@pytest.mark.parametrize("name", ["milestone-0004.partial", "last.partial"])
def test_no_room_for_a_checkpoint(tmp_path: Path, name: str) -> None:
    config = small_config("simclr")
    images = load_images(config)
    run(config, images, tmp_path / "whole")
    folder = tmp_path / "full"
    with pytest.raises(InterruptedError):
        run(config, images, folder, Kill(epoch=2))
    before = (folder / "milestone-0002.ckpt").read_bytes()
    (folder / name).symlink_to("/dev/full")  # takes every byte and has room for none

    expected = r"cannot write checkpoint '.*ckpt' \(No space left on device\): .* --resume continues the run"
    with pytest.raises(UserError, match=expected) as refusal:
        run(config, images, folder)
    assert "\n" not in str(refusal.value)
    assert (folder / "milestone-0002.ckpt").read_bytes() == before
    for path in folder.glob("*.ckpt"):
        read_checkpoint(path)
    assert not list(folder.glob("*.partial"))  # what could not be finished takes no room

    run(config, images, folder)
    whole, mended = (read_checkpoint(place / "milestone-0004.ckpt") for place in (tmp_path / "whole", folder))
    assert equal(whole["state_dict"], mended["state_dict"])


def test_a_checkpoint_is_on_disk_before_the_one_that_it_replaces_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power loss a file that was renamed but not flushed, with its folder, is the old one or none."""
    calls: list[str] = []

    def noted(name: str, function):
        def call(*arguments, **options):
            calls.append(name)
            return function(*arguments, **options)

        return call

    monkeypatch.setattr("os.fsync", noted("flush", os.fsync))
    monkeypatch.setattr(Path, "replace", noted("rename", Path.replace))
    monkeypatch.setattr(Path, "unlink", noted("remove", Path.unlink))
    config = small_config("simclr", epochs=2)
    run(config, load_images(config), tmp_path)
    # Each checkpoint: the file is flushed, renamed, and the folder flushed; only then others are removed.
    written = [call for call in calls if call != "remove"]
    assert written == ["flush", "rename", "flush"] * (len(written) // 3)
    assert len(written) >= 6
    assert "remove" not in calls[:3]
