"""What people see of a run while it trains."""

import io
import re
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from tiny_training import silent_trainer
from torch.utils.data import DataLoader, TensorDataset

from selector.milestone import Milestone
from selector.training.progress import TrainingProgress


class Tiny(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch):
        return self.layer(batch[0]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Reports(pl.Callback):
    """Stands for the milestones' callback."""

    def __init__(self, progress):
        self.progress = progress

    def on_train_epoch_end(self, trainer, pl_module):
        epoch = trainer.current_epoch + 1
        self.progress.milestone_step(epoch, "UMAP")
        values = {"label_free/rankme": 12.345, "cost/milestone_seconds": 0.5}
        self.progress.milestone(Milestone(epoch, values))


def shown(stream):
    progress = TrainingProgress(16, stream)
    trainer = silent_trainer(max_epochs=2, callbacks=[progress, Reports(progress)])
    trainer.fit(Tiny(), DataLoader(TensorDataset(torch.ones(64, 2)), batch_size=16))
    return progress, stream.getvalue()


def test_a_log_has_one_line_a_milestone():
    progress, text = shown(io.StringIO())
    line = r"milestone {}: rankme 12\.35, 0\.5 s, \d+ images/s\n"
    assert re.fullmatch(line.format(1) + line.format(2), text)
    assert progress.images_a_second > 0


def test_a_terminal_has_a_bar_with_the_step_of_the_milestone():
    progress, text = shown(Terminal())
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert "epochs" in plain
    assert "milestone 2: rankme 12.35" in plain
    assert progress.bar is None  # taken away at the end


def test_images_a_second_is_all_images_over_all_seconds(monkeypatch):
    progress = TrainingProgress(100, io.StringIO())
    clock = iter([10.0, 12.0, 20.0, 23.0])  # epochs of two and of three seconds
    monkeypatch.setattr("selector.training.progress.time.perf_counter", lambda: next(clock))
    trainer = SimpleNamespace(num_training_batches=1, current_epoch=0, max_epochs=2)
    for _ in range(2):
        progress.on_train_epoch_start(trainer, None)
        progress.on_train_batch_end(trainer, None, None, None, 0)
        progress.on_train_epoch_end(trainer, None)
    assert progress.images_a_second == pytest.approx(200 / 5)


@pytest.mark.parametrize(
    ("every", "costs", "said"),
    [
        (1, {"cost/milestone_seconds": 2.0}, "3 milestones of 2.0 s"),
        (
            2,
            {"cost/milestone_seconds": 2.0, "cost/probe_seconds": 1.5},
            "--probe none (saves up to 1.5 s of each)",
        ),
        (2, {"cost/milestone_seconds": 9.0, "cost/waited_seconds": 0.5}, "2 milestones of 0.5 s"),
        (None, {"cost/milestone_seconds": 2.0}, None),
        (1, {}, None),
    ],
)
def test_the_end_is_estimated_from_an_epoch_and_a_milestone(every, costs, said):
    progress = TrainingProgress(64, io.StringIO(), every=every)
    progress.milestone(Milestone(0, costs))
    progress.on_train_epoch_start(None, None)
    for epoch in range(4):
        trainer = SimpleNamespace(current_epoch=epoch, max_epochs=4, num_training_batches=1)
        progress.on_train_epoch_end(trainer, None)
    (line,) = [text for text in progress.stream.getvalue().splitlines() if "left" in text] or [None]
    assert (line is None) if said is None else (said in line and line.startswith("at most about 0:00:0"))


def test_the_end_is_estimated_again_without_what_the_first_milestone_loads():
    progress = TrainingProgress(64, io.StringIO(), every=2)
    progress.milestone(Milestone(0, {"cost/milestone_seconds": 9.0}))
    progress.on_train_epoch_start(None, None)
    for epoch in range(8):
        trainer = SimpleNamespace(current_epoch=epoch, max_epochs=8, num_training_batches=1)
        progress.on_train_epoch_end(trainer, None)
        if epoch % 2:
            progress.milestone(Milestone(epoch + 1, {"cost/milestone_seconds": 1.0}))
    first, second = [text for text in progress.stream.getvalue().splitlines() if "left" in text]
    assert first.startswith("at most about 0:00:36 left: 7 epochs")  # 4 milestones of 9 s
    assert second.startswith("about 0:00:03 left: 6 epochs")
