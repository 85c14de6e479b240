"""SimCLR with a vision transformer of timm on scikit-learn's digits, watched by the Lightning callback.

pip install timm && python examples/vision_transformer.py && selector watch runs
"""

import argparse

import pytorch_lightning as pl
import timm
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2

from selector import Encoder, MetricSettings, Milestones, Record


class SimCLR(pl.LightningModule):
    def __init__(self, learning_rate: float) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.vit = timm.models.VisionTransformer(
            img_size=8, patch_size=2, embed_dim=64, depth=3, num_heads=4, num_classes=0, global_pool=""
        )
        self.projection_head = SimCLRProjectionHead(64, 128, 64)
        self.criterion = NTXentLoss()
        self.augment = v2.RandomResizedCrop(8, scale=(0.4, 1.0), antialias=True)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        views = [torch.stack([self.augment(image) for image in batch[0]]) for _ in range(2)]
        return self.criterion(*(self.projection_head(self.vit(view).mean(dim=1)) for view in views))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), self.learning_rate)


def main(epochs: int, learning_rate: float) -> None:
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).div(16)[:, None].expand(-1, 3, -1, -1)
    train_loader = DataLoader(TensorDataset(images[:1437]), batch_size=256, shuffle=True)
    all_train = DataLoader(TensorDataset(images[:1437]), batch_size=256)
    all_test = DataLoader(TensorDataset(images[1437:]), batch_size=256)

    pl.seed_everything(0)
    record = Record(f"runs/{learning_rate}", {"method": "simclr", "learning_rate": learning_rate})
    milestones = Milestones(
        all_train,
        all_test,
        MetricSettings(clusters=10, probe="none"),
        record,
        # The transformer gives a vector per patch; their mean is the representation, as in training.
        encoder=Encoder("vit", "projection_head", pool="mean"),
    )
    trainer = pl.Trainer(
        max_epochs=epochs,
        callbacks=[milestones],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
    )
    trainer.fit(SimCLR(learning_rate), train_loader)
    record.end("completed", epochs)
    print(f"rankme {float(trainer.callback_metrics['label_free/rankme']):.2f} at epoch {epochs}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=0.001)
    arguments = parser.parse_args()
    main(arguments.epochs, arguments.learning_rate)
