"""Checkpoints of train.py, of other versions, and of other people."""

import dataclasses

import pytest
import torch

from selector.config import TrainConfig
from selector.errors import UserError
from selector.training.stored import read_stored

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
        ({"config": CONFIG | {"image_size": 10**9}}, "damaged: its image_size is 1000000000"),
        ({"config": CONFIG | {"image_size": 1e9}}, "does not know the image_size 1000000000.0"),
        ({"state_dict": {7: torch.ones(2)}}, "damaged, or of another program: its state_dict is not"),
        ({"state_dict": {"a": 1}}, "damaged, or of another program: its state_dict is not"),
        ({"train_config": None}, "is not a checkpoint of train.py"),
        ({"state_dict": None}, "is not a checkpoint of train.py"),
    ],
)
def test_others_are_refused_in_one_line(tmp_path, changes, said):
    with pytest.raises(UserError, match=said) as refusal:
        read_stored(checkpoint(tmp_path / "a.ckpt", **changes))
    assert "\n" not in str(refusal.value)
