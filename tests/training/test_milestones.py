"""The callback on a LightningModule that is not ours, and on ours."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import small
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from sklearn.datasets import load_digits
from tiny_training import silent_trainer
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from selector import Record, evaluate
from selector.errors import UserError
from selector.metrics import METRICS, LabelFreeMetric
from selector.metrics.inputs import MetricSettings
from selector.metrics.spectral import rankme
from selector.metrics.views import lidar
from selector.milestone import Milestone
from selector.runs import read_source
from selector.training.embed import as_batch
from selector.training.encoder import Encoder
from selector.training.measuring import KEPT_ROWS
from selector.training.milestones import Milestones
from selector.training.pretext import PretextImages


class SomebodysModule(pl.LightningModule):
    """A user's own module: other attribute names, other loss name, a plain denoising objective."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.BatchNorm1d(24), nn.Tanh())
        self.head = nn.Linear(24, 8)
        self.decode = nn.Linear(8, 64)

    def training_step(self, batch):
        images = batch[0]
        noisy = images + 0.1 * torch.randn_like(images)
        loss = nn.functional.mse_loss(self.decode(self.head(self.net(noisy))), images.flatten(1))
        self.log("my_loss", loss, on_epoch=True, on_step=False)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 1e-2)


class Rows(small.Rows):
    """Where the milestones of these tests go, as rows."""

    def milestone(self, milestone: Milestone) -> None:
        self.rows.append(milestone.row)


def loaders(labelled: bool) -> tuple[DataLoader, DataLoader]:
    digits = load_digits()
    images = torch.as_tensor(digits.images, dtype=torch.float32)[:300] / 16
    labels = torch.as_tensor(digits.target)[:300]
    parts = [(images[:200], labels[:200]), (images[200:], labels[200:])]
    train, test = (DataLoader(TensorDataset(*(p if labelled else p[:1])), batch_size=64) for p in parts)
    return train, test


def fit(callbacks: list[pl.Callback], epochs: int = 3) -> SomebodysModule:
    module = SomebodysModule()
    torch.manual_seed(1)
    silent_trainer(max_epochs=epochs, callbacks=callbacks).fit(module, loaders(labelled=True)[0])
    return module


def callback(rows: Rows, labelled: bool = True, **options: object) -> Milestones:
    settings = MetricSettings(clusters=10, probe="fast" if labelled else "none", umap_seeds=2)
    return Milestones(
        *loaders(labelled),
        settings,
        rows,
        every=2,
        encoder=Encoder("net", "head", "decode"),
        views=lambda module: noisy_views(module).split(16),
        view_source="noise, seed 3",
        loss="my_loss",
        **options,
    )


def noisy_views(module: pl.LightningModule) -> torch.Tensor:
    """Three views of each of 40 images; seeds torch without giving the state back, as a user may."""
    torch.manual_seed(3)
    images = loaders(labelled=False)[0].dataset.tensors[0][:40]
    return images[:, None] + 0.1 * torch.randn(40, 3, 8, 8)


@pytest.fixture(scope="module")
def trained() -> tuple[SomebodysModule, Rows]:
    rows = Rows()
    return fit([callback(rows)]), rows


def test_milestones_are_the_start_every_second_epoch_and_the_end(
    trained: tuple[SomebodysModule, Rows],
) -> None:
    assert [row["epoch"] for row in trained[1].rows] == [0, 2, 3]


def test_a_row_holds_every_metric_under_its_key(trained: tuple[SomebodysModule, Rows]) -> None:
    row = trained[1].rows[-1]
    label_free = {metric.key for metric in METRICS if isinstance(metric, LabelFreeMetric)}
    asked = ("rotation_probe", "view_retrieval", "hog_probe", "pretext_score")  # of images that it lacks
    label_free -= {f"label_free/{name}" for name in asked}
    assert {key for key in row if key.startswith("label_free/")} == label_free
    labelled = {"linear_probe_accuracy", "knn_accuracy", "ami_labels", "silhouette_labels"}
    assert {key.removeprefix("labelled/") for key in row if key.startswith("labelled/")} == labelled
    assert {"noise/entropy", "train/loss", "cost/milestone_seconds"} <= row.keys()
    assert "train/loss" not in trained[1].rows[0]  # the untrained network has no loss
    assert all(
        math.isfinite(value) for key, value in row.items() if key.startswith(("label", "noise", "cost"))
    )


def test_views_are_projected_in_evaluation_mode(trained: tuple[SomebodysModule, Rows]) -> None:
    module, rows = trained
    module.eval()
    with torch.no_grad():
        projections = module.head(module.net(noisy_views(module).flatten(0, 1)))
    expected = lidar(projections.unflatten(0, (40, 3)))
    assert rows.rows[-1]["label_free/lidar"] == pytest.approx(expected, rel=1e-4)
    assert rows.definition["lidar_images"] == 40
    assert rows.definition["lidar_views"] == 3
    assert rows.definition["view_source"] == "noise, seed 3"


def test_rankme_is_that_of_the_projections_of_the_training_images(
    trained: tuple[SomebodysModule, Rows],
) -> None:
    module, rows = trained
    module.eval()
    with torch.no_grad():
        images = torch.cat([batch[0] for batch in loaders(labelled=True)[0]])
        projections = module.head(module.net(images)).numpy()
    singular = np.linalg.svd(projections.astype(np.float64), compute_uv=False)
    p = singular / singular.sum() + 1e-7
    assert rows.rows[-1]["label_free/rankme"] == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-5)
    assert rows.definition["rankme_images"] == 200
    assert rows.definition["projector_dim"] == 8
    assert rows.definition["evaluation_images"] == 100
    assert rankme(projections) == pytest.approx(rows.rows[-1]["label_free/rankme"], rel=1e-5)


def test_training_does_not_notice_that_it_is_evaluated(trained: tuple[SomebodysModule, Rows]) -> None:
    undisturbed = fit([]).state_dict()
    assert all(torch.equal(undisturbed[name], value) for name, value in trained[0].state_dict().items())


@pytest.mark.parametrize("part", [lambda m: m.net[1], lambda m: m.head, lambda m: m.decode])
def test_an_encoder_whose_weights_are_nan_gives_nan_and_no_error(part) -> None:
    module = SomebodysModule()
    nn.init.constant_(part(module).weight, math.nan)
    row = callback(Rows()).evaluate(module, 4).row
    assert row["epoch"] == 4
    assert math.isnan(row["label_free/rankme"])
    assert math.isnan(row["label_free/lidar"])


def test_rankme_of_more_images_than_are_kept_is_streamed(trained: tuple[SomebodysModule, Rows]) -> None:
    module, kept, streamed = trained[0], callback(Rows()), callback(Rows())
    settings = dataclasses.replace(streamed.measuring.settings, rankme_images=KEPT_ROWS + 1)
    streamed.measuring = dataclasses.replace(streamed.measuring, settings=settings)
    row, expected = streamed.evaluate(module, 3).row, kept.evaluate(module, 3).row
    assert streamed.milestone_log.definition == kept.milestone_log.definition
    for key, value in expected.items():
        if isinstance(value, str):
            assert row[key] == value
        elif not key.startswith("cost/"):
            assert row[key] == pytest.approx(value, rel=1e-5), key


def test_a_collapsed_encoder_gives_a_milestone() -> None:
    module = SomebodysModule()
    nn.init.zeros_(module.net[1].weight)
    row = callback(Rows()).evaluate(module, 2).row
    assert row["label_free/rankme"] == pytest.approx(1, abs=1e-3)
    assert math.isnan(row["label_free/entropy"])  # cannot win
    # Every image gets the same answer: the most frequent class, at best.
    most_frequent = np.bincount(load_digits().target[200:300]).max() / 100
    assert row["labelled/linear_probe_accuracy"] <= most_frequent


class Interrupts(pl.Callback):
    """Somebody's Ctrl-C in the second epoch."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt


class Stops(pl.Callback):
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch == 2


class Endless(IterableDataset):
    """A stream without epochs: 64 digits at a time."""

    def __iter__(self):
        while True:
            yield from loaders(labelled=False)[0]


class Unchanged(EarlyStopping):
    def __init__(self) -> None:
        super().__init__("my_loss", min_delta=1e9, patience=2, check_on_train_epoch_end=True)


def light(rows: Rows, **options: Any) -> Milestones:
    settings = MetricSettings(clusters=4, probe="none", umap_seeds=1)
    return Milestones(*loaders(False), settings, rows, **({"encoder": Encoder("net", "head")} | options))


def run_with(
    module: pl.LightningModule, data: object, callbacks: list[pl.Callback], **how: Any
) -> pl.Trainer:
    trainer = silent_trainer(callbacks=callbacks, **how)
    trainer.fit(module, data)
    return trainer


@pytest.mark.parametrize(
    ("how", "callbacks", "epochs"),
    [
        ({"max_epochs": -1, "max_steps": 12}, [], [0, 3]),  # 200 images, 64 a step: 4 steps per epoch
        ({"max_epochs": -1, "max_steps": 10}, [], [0, 3]),  # in the middle of the third
        ({"max_epochs": 9}, [Stops], [0, 3]),
        ({"max_epochs": 9}, [Unchanged], [0, 3]),
        ({"max_epochs": 40}, [], [0, 20, 40]),
    ],
)
def test_the_last_state_is_a_milestone_whatever_ended_it(how, callbacks, epochs) -> None:
    rows = Rows()
    run_with(SomebodysModule(), loaders(True)[0], [*(kind() for kind in callbacks), light(rows)], **how)
    assert [row["epoch"] for row in rows.rows] == epochs
    assert rows.ended == [epochs[-1]]


def test_an_interruption_is_a_milestone_unless_the_training_will_be_resumed() -> None:
    for resumable, epochs in ((False, [0, 1]), (True, [0])):
        rows = Rows()
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            fit([light(rows, resumable=resumable), Interrupts()], epochs=2)
        assert [row["epoch"] for row in rows.rows] == epochs
        assert rows.ended == []


def test_milestones_by_step_of_data_without_epochs() -> None:
    rows = Rows()
    stream = DataLoader(Endless(), batch_size=None)
    run_with(SomebodysModule(), stream, [light(rows, every_steps=5)], max_epochs=-1, max_steps=13)
    assert [row["trainer/global_step"] for row in rows.rows] == [0, 5, 10, 13]
    assert not any("epoch" in row for row in rows.rows)


def test_steps_are_called_steps_from_the_record_to_the_reader(tmp_path: Path) -> None:
    record = Record(tmp_path / "mine", {"learning_rate": 0.1})
    stream = DataLoader(Endless(), batch_size=None)
    run_with(SomebodysModule(), stream, [light(record, every_steps=3)], max_epochs=-1, max_steps=7)
    (run,) = read_source(str(tmp_path)).runs
    assert (run.counted_by, run.unit) == ("trainer/global_step", "step")
    assert [row.epoch for row in run.milestones] == [0, 3, 6, 7]
    assert [row.epoch for row in run.trained_milestones] == [3, 6, 7]  # the untrained network is no candidate


def test_checkpoints_are_chosen_by_a_label_free_metric(tmp_path: Path) -> None:
    rows = Rows()
    best = ModelCheckpoint(tmp_path, "{epoch}", monitor="label_free/rankme", mode="max")
    callbacks = [light(rows, every=1), best]
    run_with(SomebodysModule(), loaders(True)[0], callbacks, max_epochs=4, enable_checkpointing=True)
    values = {row["epoch"]: row["label_free/rankme"] for row in rows.rows[1:]}
    assert float(best.best_model_score) == pytest.approx(max(values.values()))
    assert best.best_model_path.endswith(f"epoch={max(values, key=values.get) - 1}.ckpt")


@pytest.mark.parametrize("precision", ["16-true", "bf16-true", "64-true"])
def test_true_half_and_double_precision(precision: str) -> None:
    rows = Rows()

    class Casts(SomebodysModule):
        def training_step(self, batch):
            return super().training_step([batch[0].to(self.head.weight.dtype)])

    if precision == "16-true":  # trains on GPUs alone
        light(rows).evaluate(SomebodysModule().half(), 1)
        rows.rows = [light(rows).evaluate(SomebodysModule().half(), 0).row] * 2
    else:
        run_with(Casts(), loaders(True)[0], [light(rows)], max_epochs=1, precision=precision)
    assert len(rows.rows) == 2
    assert all(math.isfinite(row["label_free/rankme"]) for row in rows.rows)


def images_in(form: Callable[[torch.Tensor], object]) -> list[object]:
    return [form(batch) for (batch,) in loaders(labelled=False)[0]]


@pytest.mark.parametrize(
    ("form", "key", "said"),
    [
        (lambda x: {"image": x}, None, "a mapping with 'image': pass image_key=\"image\""),
        (lambda x: (torch.arange(len(x)), x), None, r"a tensor of shape \(64,\): pass image_key=lambda"),
        (lambda x: x.numpy(), None, "got ndarray: pass image_key"),
        (lambda x: x.to_sparse(), None, "a sparse tensor: pass image_key=torch.Tensor.to_dense"),
        (lambda x: x.flatten(1).to_sparse_csr(), None, "a sparse tensor: pass image_key=torch.Tensor.to"),
        (lambda x: x[:, 0], None, r"float32 images of shape \(64, 8\) \(.*\): scale and shape them"),
        (lambda x: np.ma.masked_array(x.numpy()), None, "got a numpy MaskedArray, whose hidden entries"),
        (lambda x: (x, np.ma.zeros(len(x))), None, "got a numpy MaskedArray"),
        (lambda x: (x * 16).byte(), None, "the encoder does not take uint8 images"),
        (lambda x: {"image": x}, "img", "image_key='img' is not in .*, which are dict with 'image'"),
        (lambda x: x / 0, None, "image 0 of the test split holds pixels that are NaN or infinite"),
        (lambda x: {"image": x}, "image", ""),
        (lambda x: (torch.arange(len(x)), x), lambda batch: batch[1], ""),
    ],
)
def test_batches_of_other_forms_are_named_or_taken_as_told(form, key, said: str) -> None:
    settings = MetricSettings(clusters=4, probe="none", umap_seeds=1)
    batches = images_in(form)
    callback = Milestones(batches, batches, settings, Rows(), encoder=Encoder("net", "head"), image_key=key)
    if said:
        with pytest.raises(UserError, match=said) as refusal:
            callback.evaluate(SomebodysModule(), 0)
        assert "\n" not in str(refusal.value)
    else:
        expected = light(Rows()).evaluate(SomebodysModule(), 0)
        found = callback.evaluate(SomebodysModule(), 0)
        assert found.values["label_free/rankme"] == expected.values["label_free/rankme"]


LABELS = torch.tensor(load_digits().target[:300])


def with_labels(train, test, chosen=slice(200)) -> tuple[dict[str, float], Mapping[str, object]]:
    """The figures of a milestone whose loaders give these labels, and its definition."""
    images, rows = torch.tensor(load_digits().images[:300], dtype=torch.float32).div(16), Rows()
    parts = [(images[chosen], train), (images[200:], test)]
    batches = [list(zip(x.split(64), y.split(64), strict=True)) for x, y in parts]
    settings = MetricSettings(clusters=4, probe="fast")
    found = Milestones(*batches, settings, rows, encoder=Encoder("net", "head")).evaluate(
        SomebodysModule(), 0
    )
    return dict(found.values), rows.definition


def test_labels_of_minus_one_are_unlabelled_images_and_never_a_class(capsys) -> None:
    train, test = LABELS[:200], LABELS[200:]
    some, none = train.clone(), torch.full((200,), -1)
    some[::2] = -1
    found, _ = with_labels(some, test)
    without, _ = with_labels(train[1::2], test, chosen=slice(1, 200, 2))
    for key in ("labelled/linear_probe_accuracy", "labelled/knn_accuracy"):
        assert found[key] == without[key]
    found, definition = with_labels(none, test)
    assert definition["probe"] == "none"
    judged = {key for key in found if key.startswith("labelled/")}
    assert judged == {"labelled/ami_labels", "labelled/silhouette_labels"}
    assert "the training images are unlabelled" in capsys.readouterr().err
    for other in (none[:100], torch.where(torch.arange(100) == 7, -1, test)):
        found, _ = with_labels(train, other)
        assert not [key for key in found if key.startswith("labelled/")]
    assert "1 of 100 evaluation images are unlabelled (-1)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda y: y.float(),
            r"the labels of the test split are float32 of shape \(100,\), expected one class",
        ),
        (lambda y: nn.functional.one_hot(y), r"are int64 of shape \(100, 10\)"),
    ],
)
def test_labels_that_are_no_classes_are_named(change, said: str) -> None:
    with pytest.raises(UserError, match=said) as refusal:
        with_labels(LABELS[:200], change(LABELS[200:]))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("form", [torch.Tensor.numpy, torch.Tensor.tolist])
def test_labels_need_not_be_tensors(form) -> None:
    found = as_batch((torch.zeros(3, 1, 8, 8), form(torch.tensor([1, 0, 2]))))[1]
    assert found is not None
    assert found.tolist() == [1, 0, 2]
    assert as_batch((torch.zeros(2, 1, 8, 8), ["a.png", "b.png"]))[1] is None


def test_what_else_is_known_stands_beside_the_definition() -> None:
    rows = Rows()
    light(rows, described={"pixel_range": [0, 4095]}).evaluate(SomebodysModule(), 0)
    assert (rows.definition["pixel_range"], rows.definition["evaluation_images"]) == ([0, 4095], 100)


@pytest.mark.parametrize(("side", "said"), [(8, True), (4, False)])
def test_edges_that_run_alike_are_said_once_and_leave_the_score_to_the_other_parts(side, said, capsys):
    slopes = torch.arange(1, 31).view(30, 1, 1, 1) * torch.arange(side)
    ramps, rows = slopes.to(torch.uint8).repeat(1, 1, side, 1), Rows()
    settings = MetricSettings(clusters=4, probe="none", umap_seeds=1)
    data = [(part,) for part in ramps.float().div(255).split(10)]
    encoder = Encoder(lambda _, images: images.flatten(1), lambda _, vectors: vectors[:, :3])
    pretext = PretextImages.drawn(ramps, ramps)
    monitor = Milestones(data, data, settings, rows, encoder=encoder, pretext=pretext)
    found = [monitor.evaluate(SomebodysModule(), epoch).values for epoch in (0, 1)]
    line = "hog_probe and its part of pretext_score are left out: edges run alike in all images\n"
    assert capsys.readouterr().err.count(line) == said  # fewer than 8 pixels are told in the first line
    assert all("label_free/hog_probe" not in row and "label_free/pretext_score" in row for row in found)


def test_loaders_that_are_used_up_are_refused_and_shuffled_ones_warned_of(capsys) -> None:
    settings = MetricSettings(clusters=4)
    train, test = loaders(False)
    with pytest.raises(UserError, match="the loader of training images is a generator, which is used up"):
        Milestones((batch for batch in train), test, settings, Rows())
    Milestones(train, DataLoader(test.dataset, 64, shuffle=True), settings, Rows())
    assert "the loader of evaluation images shuffles" in capsys.readouterr().err


def test_a_plain_loop_measures_what_the_callback_does(tmp_path: Path) -> None:
    module, rows = SomebodysModule(), Rows()
    settings = MetricSettings(clusters=4, probe="none", umap_seeds=1)
    expected = light(rows).evaluate(module, 3)
    record = Record(tmp_path / "mine", {"learning_rate": 0.1})
    train, test = loaders(False)
    module.train()
    found = evaluate(module.net, train, test, settings, projector=module.head, epoch=3, record=record)
    assert module.net.training
    assert {k: repr(v) for k, v in found.values.items() if not k.startswith("cost/")} == {
        k: repr(v) for k, v in expected.values.items() if not k.startswith("cost/")
    }
    assert record.content.milestones == (found,)
    assert record.content.definition["evaluation_images"] == rows.definition["evaluation_images"] == 100
