"""The same seed gives the same milestones: how far that goes with other numbers of threads and workers."""

import math
from pathlib import Path

import pytest
import torch
from small import Rows, small_config, without_costs
from test_milestones import SomebodysModule
from tiny_training import silent_trainer
from torch.utils.data import DataLoader, TensorDataset

from selector.metrics.inputs import MetricSettings
from selector.training import Encoder
from selector.training.data import load_images
from selector.training.milestones import Milestones, milestones_of
from selector.training.network import Network
from selector.training.pretrain import pretrain

# Of UMAP's points: whether the last bit of an input moves one of forty points to another cluster is chance.
OF_POINTS = (
    "entropy",
    "outlier",
    "silhouette",
    "clustering_agreement",
    "ami_labels",
    "accuracy",
    "learnability",
    "idest",
    "clid",
)


def rows_of(threads: int, folder: Path) -> list[dict]:
    """The milestones of a MoCo-v2 run of two epochs on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        config = small_config(
            "moco_v2", epochs=2, probe="fast", lidar_images=20, lidar_views=2, umap_seeds=1, milestone_every=2
        )
        images, log = load_images(config), Rows()
        method = Network(config, images)
        pretrain(method, config, folder, [milestones_of(config, images, log, folder)], log)
    finally:
        torch.set_num_threads(before)
    return [without_costs(milestone.row) for milestone in log.rows]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict]]:
    return {name: rows_of(int(name[0]), tmp_path_factory.mktemp("run")) for name in ("1", "2", "2 again")}


def test_the_same_number_of_threads_gives_the_same_bits(runs):
    assert [row["epoch"] for row in runs["2"]] == ["0", "2"]
    assert runs["2"] == runs["2 again"]


def test_the_same_weights_give_the_same_bits_on_any_number_of_threads(runs):
    assert runs["1"][0] == runs["2"][0]  # milestone 0: UMAP, clusters, probe and all


def test_training_on_another_number_of_threads_differs_in_the_last_digits(runs):
    """Sums are added in another order; how fast that grows is a matter of the learning rate."""
    one, two = (
        {key: float(text) for key, text in runs[name][1].items() if key.startswith(("label", "train/"))}
        for name in ("1", "2")
    )
    compared = [key for key in one if math.isfinite(one[key]) and not any(name in key for name in OF_POINTS)]
    assert len(compared) > 10
    for key in compared:
        assert two[key] == pytest.approx(one[key], rel=1e-3, abs=1e-6), key


def test_workers_of_a_data_loader_change_nothing():
    images = torch.rand(120, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = []
    for workers in (0, 1, 2):
        train, test = (DataLoader(TensorDataset(part), 25, num_workers=workers) for part in images.split(60))
        log = Rows()
        settings = MetricSettings(clusters=4, umap_seeds=1, probe="none")
        callback = Milestones(train, test, settings, log, every=1, encoder=Encoder("net", "head"))
        torch.manual_seed(1)
        trainer = silent_trainer(max_epochs=1, callbacks=[callback])
        trainer.fit(SomebodysModule(), train)
        found.append([without_costs(milestone.row) for milestone in log.rows])
    assert [row["epoch"] for row in found[0]] == ["0", "1"]
    assert found[0] == found[1] == found[2]
