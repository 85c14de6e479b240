"""SimCLR on scikit-learn's digits, as one writes it with Lightly and PyTorch Lightning."""

import argparse

import pytorch_lightning as pl
import torch
from lightly.loss import NTXentLoss
from lightly.models import ResNetGenerator
from lightly.models.modules import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset


class SimCLR(pl.LightningModule):
    def __init__(self, learning_rate: float = 0.1, temperature: float = 0.2) -> None:
        super().__init__()
        layers = list(ResNetGenerator("resnet-9", width=0.25).children())[:-1]
        self.backbone = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))
        self.projection_head = SimCLRProjectionHead(128, 128, 64)
        self.criterion = NTXentLoss(temperature)
        self.learning_rate = learning_rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.projection_head(self.backbone(x).flatten(1))

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        view_a, view_b = batch
        loss = self.criterion(self(view_a), self(view_b))
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), self.learning_rate, momentum=0.9)


class Views(Dataset):
    def __init__(self, images: torch.Tensor) -> None:
        self.images = [Image.fromarray((image * 255).byte().permute(1, 2, 0).numpy()) for image in images]
        self.transform = SimCLRTransform(input_size=8, gaussian_blur=0.0, hf_prob=0.0, normalize=None)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> list[torch.Tensor]:
        return self.transform(self.images[index])


def main(epochs: int) -> None:
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).div(16)[:, None].repeat(1, 3, 1, 1)
    train_loader = DataLoader(TensorDataset(images[:1437]), batch_size=256)
    test_loader = DataLoader(TensorDataset(images[1437:]), batch_size=256)

    pl.seed_everything(0)
    model = SimCLR()
    trainer = pl.Trainer(max_epochs=epochs, logger=False, enable_checkpointing=False)
    trainer.fit(model, DataLoader(Views(images[:512]), batch_size=256, shuffle=True, drop_last=True))
    for name, loader in (("training", train_loader), ("test", test_loader)):
        vectors = torch.cat([model.backbone(batch).flatten(1) for (batch,) in loader])
        print(f"{len(vectors)} {name} images embedded in {vectors.shape[1]} dimensions")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=4)
    main(parser.parse_args().epochs)
