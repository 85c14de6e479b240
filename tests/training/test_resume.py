"""An interrupted run goes on bit for bit where an uninterrupted one would be."""

import dataclasses
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from tiny_training import OWN, TINY

from selector.config import TrainConfig, paper_recipe
from selector.errors import UserError
from selector.training.data import ImageSplits, load_images
from selector.training.methods import METHODS
from selector.training.network import Network
from selector.training.pretrain import pretrain, read_checkpoint, start_from
from selector.training.run_folder import last_checkpoint


def small_config(method: Network, **changes: object) -> TrainConfig:
    small = {"evaluation_images": 40, "epochs": 4, "milestone_every": 2}
    return dataclasses.replace(paper_recipe(method), **(TINY | small | OWN[method] | changes))


class Kill(pl.Callback):
    """Raises at the start of an epoch, as a lost machine would end the run."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            raise InterruptedError("the machine is gone")


def run(config: TrainConfig, images: ImageSplits, folder: Path, *callbacks: pl.Callback):
    method = Network(config, images)
    outcome = pretrain(method, config, folder, callbacks)
    return method, outcome


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_ends_with_the_same_bits(method: Network, tmp_path: Path) -> None:
    config = small_config(method)
    images = load_images(config)
    run(config, images, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        run(config, images, tmp_path / "cut", Kill(epoch=3))  # after the checkpoint of epoch 2
    assert last_checkpoint(tmp_path / "cut").name == "milestone-0002.ckpt"
    torch.manual_seed(12345)  # a new process has another random state
    run(config, images, tmp_path / "cut")

    whole = read_checkpoint(tmp_path / "whole" / "milestone-0004.ckpt")
    cut = read_checkpoint(tmp_path / "cut" / "milestone-0004.ckpt")
    assert whole["global_step"] == cut["global_step"] == 12  # 96 images, 32 a step, 4 epochs
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert equal(whole[part], cut[part]), part
    if method == "moco_v2":
        assert whole["state_dict"]["criterion.memory_bank.bank"].shape == (150, 8)


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    config = small_config("simclr")
    images = load_images(config)
    run(config, images, tmp_path)
    with pytest.raises(UserError, match=r"trained with temperature 0\.5, this run asks for 0\.2"):
        run(dataclasses.replace(config, temperature=0.2), images, tmp_path)


def test_a_run_starts_from_the_weights_of_another_and_not_from_another_encoder(tmp_path: Path) -> None:
    config = small_config("simclr", epochs=1)
    images = load_images(config)
    trained, _ = run(config, images, tmp_path)
    checkpoint = tmp_path / "milestone-0001.ckpt"
    start = Network(small_config("simclr", seed=1, projector_dim=4), images)
    start_from(checkpoint, start)
    assert equal(dict(start.backbone.state_dict()), dict(trained.backbone.state_dict()))
    hidden, output = (layer.weight for layer in start.projection_head.layers if hasattr(layer, "in_features"))
    assert torch.equal(hidden, trained.projection_head.layers[0].weight)
    assert output.shape == (4, 16)  # keeps its own
    wider = Network(small_config("simclr", backbone_width=0.125), images)
    with pytest.raises(UserError, match=r"is resnet-9 of width 0\.0625, this run asks for .*0\.125"):
        start_from(checkpoint, wider)
    with pytest.raises(UserError, match="there is no such file"):
        start_from(tmp_path / "nothing.ckpt", start)
    (tmp_path / "photo.ckpt").write_bytes(b"?")
    with pytest.raises(UserError, match=r"--init-from must name a checkpoint of train\.py"):
        start_from(tmp_path / "photo.ckpt", start)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    config, folder = small_config("simclr"), tmp_path_factory.mktemp("sound")
    run(config, load_images(config), folder)
    return read_checkpoint(folder / "milestone-0004.ckpt")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("milestones", [5]),
        ("milestones", [{"loss": 1.0}]),
        ("optimizer_states", [None]),
        ("optimizer_states", [{"state": {}, "param_groups": [3]}]),
        ("lr_schedulers", [3]),
        ("loops", {}),
        ("loops", {"fit_loop": {}}),
        ("loops", {"fit_loop": {"epoch_progress": {"total": {}}}}),
        ("loops", {"fit_loop": {"epoch_progress": {"total": {}, "current": {"ready": "x"}}}}),
        ("train_config", 5),
        ("state_dict", {1: torch.ones(2)}),
        ("epoch", "3"),
        ("global_step", None),
    ],
)
def test_a_checkpoint_with_a_part_of_another_shape_is_named(
    tmp_path: Path, sound: dict[str, object], part: str, value: object
) -> None:
    config = small_config("simclr")
    torch.save(sound | {part: value}, tmp_path / "milestone-0004.ckpt")
    with pytest.raises(UserError, match=rf"damaged, or of another program: its {part} is not") as refusal:
        run(config, load_images(config), tmp_path)
    assert "\n" not in str(refusal.value)


def test_an_infinite_learning_rate_is_a_result(tmp_path: Path) -> None:
    config = small_config("simclr", learning_rate=1e30)
    _, outcome = run(config, load_images(config), tmp_path)
    assert outcome.status == "diverged"
    assert outcome.epoch == 1  # the first step ruins the weights, the second one sees it
    assert "loss became nan" in outcome.detail


def equal(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b
