"""A denoising encoder of scikit-learn's digits in a plain PyTorch loop: no Lightning, no W&B.

python examples/plain_loop.py --learning-rate 0.01 && selector rank runs --metric rankme
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from selector import MetricSettings, Record, evaluate


def main(epochs: int, learning_rate: float) -> None:
    images = torch.tensor(load_digits().images, dtype=torch.float32).div(16).flatten(1)
    train_loader = DataLoader(TensorDataset(images[:1437]), batch_size=256)
    test_loader = DataLoader(TensorDataset(images[1437:]), batch_size=256)

    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU())
    decoder = nn.Linear(32, 64)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], learning_rate)
    settings = MetricSettings(clusters=10, probe="none", umap_seeds=1)

    record = Record(f"runs/{learning_rate}", {"method": "denoising", "learning_rate": learning_rate})
    evaluate(encoder, train_loader, test_loader, settings, epoch=0, record=record)
    for _ in range(epochs):
        for (batch,) in train_loader:
            loss = nn.functional.mse_loss(decoder(encoder(batch + 0.3 * torch.randn_like(batch))), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    milestone = evaluate(encoder, train_loader, test_loader, settings, epoch=epochs, record=record)
    record.end("completed", epochs)
    print(f"rankme {milestone.values['label_free/rankme']:.2f} at epoch {epochs}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    arguments = parser.parse_args()
    main(arguments.epochs, arguments.learning_rate)
