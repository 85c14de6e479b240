"""Vision transformers of timm and torchvision, with random weights, under Lightning and in a plain loop."""

import math

import pytest
import pytorch_lightning as pl
import timm
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models.vision_transformer import VisionTransformer

from selector import Encoder, MetricSettings, Milestones, Record, evaluate
from selector.errors import UserError
from selector.record import read_record

SETTINGS = MetricSettings(clusters=4, probe="fast", metrics=("spectral", "probes"))
IMAGES = torch.tensor(load_digits().images[:150], dtype=torch.float32).div(16)[:, None].expand(-1, 3, -1, -1)
LABELS = torch.tensor(load_digits().target[:150])
SILENT = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")


def loader(part):
    return DataLoader(TensorDataset(IMAGES[part], LABELS[part]), batch_size=32)


def of_timm():
    return timm.models.VisionTransformer(
        img_size=8, patch_size=4, embed_dim=16, depth=1, num_heads=2, num_classes=0, global_pool=""
    )


def of_torchvision():
    vit = VisionTransformer(8, 4, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=16)
    vit.heads = nn.Identity()
    return vit


class Student(pl.LightningModule):
    """Somebody's method around an encoder: it denoises."""

    def __init__(self, vit):
        super().__init__()
        torch.manual_seed(0)
        self.student, self.head = nn.ModuleDict({"vit": vit}), nn.Linear(16, 8)

    def training_step(self, batch):
        tokens = self.student["vit"](batch[0])
        return self.head(tokens).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


@pytest.mark.parametrize(("make", "pool"), [(of_timm, "cls"), (of_timm, "mean"), (of_torchvision, None)])
def test_a_vision_transformer_is_trained_watched_and_measured(make, pool, tmp_path):
    module, train, test = Student(make()), loader(slice(100)), loader(slice(100, None))
    record = Record(tmp_path / "run", {"method": "denoising"})
    parts = Encoder(lambda m, x: m.student["vit"](x), "head", pool=pool)
    trainer = pl.Trainer(
        max_epochs=2,
        max_time="00:00:05:00",
        callbacks=[Milestones(train, test, SETTINGS, record, encoder=parts)],
        accelerator="cpu",
        **dict.fromkeys(SILENT, False),
    )
    trainer.fit(module, train)
    rows = read_record(tmp_path / "run" / "run.jsonl").milestones
    assert [row.epoch for row in rows] == [0, 2]
    again = evaluate(module.student["vit"], train, test, SETTINGS, projector=module.head, pool=pool, epoch=2)
    for key in ("label_free/rankme", "label_free/rankme_backbone", "labelled/linear_probe_accuracy"):
        assert math.isfinite(rows[-1].values[key])
        assert rows[-1].values[key] == pytest.approx(again.values[key], rel=1e-6)
        assert float(trainer.callback_metrics[key]) == pytest.approx(again.values[key], rel=1e-6)


def test_tokens_are_refused_where_nobody_said_what_makes_a_vector_of_them():
    with pytest.raises(UserError, match=r"tokens \(B, T, D\) of shape \(32, 5, 16\).*pool=\"mean\""):
        evaluate(of_timm(), loader(slice(100)), loader(slice(100, None)), SETTINGS)
