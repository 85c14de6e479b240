"""Checkpoints, of this version and of others, damaged and malicious: read as written, or refused."""

import dataclasses
import os
import random
import zipfile
from pathlib import Path

import pytest
import torch

from selector.config import TrainConfig
from selector.errors import UserError
from selector.paper.models import read_state
from selector.training.stored import load_plain, read_checkpoint, read_stored

READERS = (read_checkpoint, read_stored, read_state)


def saved(path: Path, content: object = None) -> Path:
    torch.save({"weight": torch.arange(64.0), "step": 3} if content is None else content, path)
    return path


def test_any_changed_byte_is_noticed_or_means_nothing(tmp_path: Path):
    """torch itself reads one of these files with a weight of 101.0156 where 101 was written."""
    sound = saved(tmp_path / "a.ckpt").read_bytes()
    generator = random.Random(0)
    damaged, refused, trials = tmp_path / "b.ckpt", 0, 0
    for position in range(0, len(sound), 3):
        content = bytearray(sound)
        content[position] ^= 1 << generator.randrange(8)
        damaged.write_bytes(content)
        trials += 1
        try:
            found = load_plain(damaged)
        except Exception:
            refused += 1
            continue
        assert torch.equal(found["weight"], torch.arange(64.0)), position
        assert found["step"] == 3
    assert refused > trials / 4  # the rest lies in names, dates and padding of the zip file


@pytest.mark.parametrize("read", READERS)
def test_a_changed_weight_is_one_line(tmp_path: Path, read):
    path = saved(tmp_path / "a.ckpt")
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(64.0).numpy().tobytes()) + 21] ^= 8
    path.write_bytes(content)
    with pytest.raises(UserError, match="wrong checksum") as refusal:
        read(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("read", READERS)
def test_cut_anywhere(tmp_path: Path, read):
    sound = saved(tmp_path / "a.ckpt").read_bytes()
    for end in range(0, len(sound), 61):
        (tmp_path / "b.ckpt").write_bytes(sound[:end])
        with pytest.raises(UserError):
            read(tmp_path / "b.ckpt")


@pytest.mark.parametrize("read", READERS)
def test_a_pickle_that_would_write_a_file_writes_none(tmp_path: Path, read):
    owned = tmp_path / "owned"

    class Malicious:
        def __reduce__(self):
            return os.system, (f"touch {owned}",)

    for number, options in enumerate(({}, {"_use_new_zipfile_serialization": False})):
        path = tmp_path / f"{number}.ckpt"
        torch.save({"state_dict": {}, "epoch": 1, "train_config": {}, "more": Malicious()}, path, **options)
        with pytest.raises(UserError, match="cannot be read"):
            read(path)
    assert not owned.exists()
    torch.load(path, weights_only=False)  # the trap works: torch without the guard falls into it
    assert owned.exists()


@pytest.mark.parametrize("read", [read_checkpoint, read_stored])
def test_a_checkpoint_without_checksums_is_refused(tmp_path: Path, read):
    path, content = tmp_path / "a.ckpt", {"epoch": 0, "train_config": {}, "state_dict": {}}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match=r"not a zip file with checksums.*save it again") as refusal:
        read(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("read", READERS)
def test_a_named_pipe_is_not_waited_for(tmp_path: Path, read):
    os.mkfifo(tmp_path / "a.ckpt")
    with pytest.raises(UserError, match="not a regular file"):
        read(tmp_path / "a.ckpt")


def test_a_file_that_unpacks_to_more_is_refused(tmp_path: Path):
    sound, bomb = saved(tmp_path / "a.ckpt"), tmp_path / "b.ckpt"
    with zipfile.ZipFile(sound) as parts, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in parts.namelist():
            packed.writestr(name, parts.read(name))
    with pytest.raises(ValueError, match="compressed"):
        load_plain(bomb)


def test_a_part_that_calls_itself_a_folder_is_refused(tmp_path: Path):
    """torch would hand out 128 bytes of whatever lies in memory in place of the weights."""
    path = saved(tmp_path / "a.ckpt")
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"data/0")  # in the directory at the end; its name begins with that of the archive
    entry = content.rindex(b"PK\x01\x02", 0, entry)
    content[entry + 38] ^= 0x10  # external attributes
    path.write_bytes(content)
    with pytest.raises(ValueError, match="marked as a folder"):
        load_plain(path)


# What a file says.

CONFIG = dataclasses.asdict(TrainConfig(epochs=7))


def checkpoint(path, epoch=4, processed=5, config=CONFIG, **changes):
    content = {
        "epoch": epoch,
        "state_dict": {"backbone.0.weight": torch.ones(2)},
        "loops": {"fit_loop": {"epoch_progress": {"total": {}, "current": {"processed": processed}}}},
        "train_config": config,
    }
    torch.save({key: value for key, value in (content | changes).items() if value is not None}, path)
    return path


def test_a_milestone_is_its_epoch_its_configuration_and_its_weights(tmp_path):
    stored = read_stored(checkpoint(tmp_path / "a.ckpt"))
    assert (stored.epoch, stored.config) == (5, TrainConfig(epochs=7))
    assert list(stored.state) == ["backbone.0.weight"]


def test_fields_younger_than_the_file_have_their_defaults(tmp_path):
    older = {name: value for name, value in CONFIG.items() if name != "keep"}
    assert read_stored(checkpoint(tmp_path / "a.ckpt", config=older, loops=None)).config.keep == "last"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"processed": 4}, "written in the middle of epoch 5, to continue an interrupted run: only those of"),
        ({"config": CONFIG | {"learnin_rate": 1}}, "version.*'learnin_rate', did you mean 'learning_rate'"),
        ({"config": CONFIG | {"epochs": -1}}, "another version: epochs must be greater than 0"),
        ({"config": CONFIG | {"backbone": "resnet-19"}}, "does not know the backbone 'resnet-19'"),
        ({"config": CONFIG | {"seed": "a"}}, "damaged, or of another program"),
        ({"config": 7}, "is not a checkpoint of train.py"),
        ({"state_dict": 7}, "is not a checkpoint of train.py"),
        ({"train_config": None}, "is not a checkpoint of train.py"),
        ({"state_dict": None}, "is not a checkpoint of train.py"),
    ],
)
def test_others_are_refused_in_one_line(tmp_path, changes, said):
    with pytest.raises(UserError, match=said) as refusal:
        read_stored(checkpoint(tmp_path / "a.ckpt", **changes))
    assert "\n" not in str(refusal.value)
