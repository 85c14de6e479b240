"""`selector correlate`, `figures` and `pretrained`, from runs or names of models to what is printed."""

import dataclasses
import json
import shlex
from functools import partial

import console
import numpy as np
import pytest
import torch
from handmade import run, write_sweep
from PIL import Image
from tiny_training import TINY
from torchvision import models

from selector.config import TrainConfig
from selector.runs import Milestone
from selector.training.data import load_images
from selector.training.network import Network

ACCURACY, KNN = "labelled/linear_probe_accuracy", "labelled/knn_accuracy"
FAST = shlex.split("--dataset digits --images 60 --probe fast --umap-seeds 1 --device cpu")


@pytest.fixture
def call(capsys):
    """Runs a command: exit status, stdout and stderr."""
    return partial(console.call, capsys)


def trained(id, *columns, keys):
    rows = [dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True)]
    return run(id, milestones=tuple(Milestone(5 * e, row) for e, row in enumerate(rows)))


@pytest.fixture
def sweep(tmp_path):
    """rankme and the accuracy go as 1, 3, 2, 4 against 1, 2, 3, 4 in aa, and together in bb."""
    keys, accuracy = ("label_free/rankme", "other/score", KNN, ACCURACY), (0.0, 0.1, 0.2, 0.3)
    rankme = {"aa": (1.0, 3.0, 2.0, 4.0), "bb": (1.0, 2.0, 3.0, 4.0)}
    runs = [
        trained(id, x, [-v for v in x], [v / 10 for v in x], accuracy, keys=keys) for id, x in rankme.items()
    ]
    return write_sweep(tmp_path / "sweep", *runs)


def test_correlate_for_people(call, sweep):
    status, out, err = call("correlate", sweep, "--published")
    assert (status, err) == (0, "")
    assert "simclr, digits: medians of 2 runs, 4 milestones w/, 3 w/o" in out
    (line,) = [line for line in out.splitlines() if line.startswith("rankme") and "✓" in line]
    assert line.split()[2:4] == ["0.90", "0.75"]  # medians of 0.8 and 1, of 0.5 and 1
    assert "-0.57*" in out
    assert max(map(len, out.splitlines())) <= 80


def test_correlate_prints_one_object_and_nothing_else(call, sweep):
    status, out, _ = call("correlate", sweep, "--json")
    found = json.loads(out)
    assert (status, found["oracle"]) == (0, "linear_probe_accuracy")
    metrics = {row["metric"]: row for row in found["groups"][0]["metrics"]}
    assert list(metrics) == ["rankme", "knn_accuracy"]
    assert metrics["rankme"]["with_init"]["pearson"] == pytest.approx(0.9)


def test_correlate_takes_keys_of_somebody_elses_runs(call, sweep):
    options = shlex.split("--oracle knn_accuracy --json --metric other/score label_free/rankme")
    status, out, _ = call("correlate", sweep, *options)
    metrics = {row["key"]: row["with_init"]["pearson"] for row in json.loads(out)["groups"][0]["metrics"]}
    assert status == 0
    assert metrics == {"other/score": pytest.approx(-1), "label_free/rankme": pytest.approx(1)}
    assert call("correlate", sweep, *options, "ami_labels")[1] == ""  # not logged


@pytest.fixture
def courses(tmp_path):
    """Entropy falls as the accuracy rises in aa; b.b has two milestones."""
    keys = ("label_free/entropy", "my/key", ACCURACY)
    columns = [4.0, 3.0, 2.0, 1.0], [0, 1, 4, 9], [0.0, 1 / 9, 2 / 9, 3 / 9]
    short = trained("b.b", *(column[:2] for column in columns), keys=keys)
    return write_sweep(tmp_path / "courses", trained("aa", *columns, keys=keys), short)


def test_a_picture_a_run_and_metric(call, courses, tmp_path):
    folder = tmp_path / "f"
    options = ("--output", folder, "--metric", "entropy", "my/key", "--format", "svg")
    status, out, err = call("figures", courses, *options)
    files = [folder / name for name in ("aa-entropy.svg", "aa-my_key.svg")]
    assert (status, out.splitlines()) == (0, [str(file) for file in files])
    assert all(file.stat().st_size > 5000 for file in files)
    assert "run b.b has 2 milestones with label_free/entropy" in err


def test_figures_prints_the_rows_as_json(call, courses, tmp_path):
    status, out, _ = call(
        "figures", courses, "--output", tmp_path, "--run", "aa", "--json", "--metric=entropy"
    )
    (figure,) = json.loads(out)["figures"]
    assert (status, figure["run"], figure["metric"]) == (0, "aa", "entropy")
    assert [point["epoch"] for point in figure["points"]] == [0, 5, 10, 15]
    assert figure["with_init"] == pytest.approx(-1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three encoders as train.py would leave them, and a cache that the tests share."""
    folder = tmp_path_factory.mktemp("pretrained")
    for seed in range(3):
        config = TrainConfig(**TINY, seed=seed)
        state, settings = Network(config, load_images(config)).state_dict(), dataclasses.asdict(config)
        (folder / f"run{seed}").mkdir()
        content = {"epoch": 4, "state_dict": state, "train_config": settings}
        torch.save(content, folder / f"run{seed}" / "milestone-0005.ckpt")
    return folder


@pytest.fixture
def pretrained(call, place):
    """`selector pretrained` with the shared cache."""
    return lambda *arguments: call("pretrained", *arguments, "--cache-dir", place / "cache")


@pytest.mark.slow
def test_encoders_of_train_py_from_end_to_end_and_a_second_time_from_the_cache(
    pretrained, place, monkeypatch
):
    arguments = ["--models", *sorted(place.glob("run*/*.ckpt")), *FAST, "--json"]
    status, out, err = pretrained(*arguments)
    assert (status, err) == (0, "")
    found = json.loads(out)["datasets"][0]
    assert (found["evaluation_images"], found["train_images"], found["settings"]["clusters"]) == (60, 60, 10)
    names = [(model["model"], model["family"], model["resolution"]) for model in found["models"]]
    assert names == [(f"run{seed}/milestone-0005", "simclr", 8) for seed in range(3)]
    assert found["models"][0]["weights"] == "trained on digits for 5 epochs"
    figures = {one["metric"]: one for one in found["correlations"]}
    assert (figures["entropy"]["models"], figures["entropy"]["group"]) == (3, "simclr")
    monkeypatch.setattr("selector.paper.study.Embedder._encode", lambda *_: pytest.fail("embedded again"))
    assert pretrained(*arguments)[1] == out


def test_torchvisions_weights_from_a_folder(pretrained, tmp_path):
    torch.manual_seed(0)
    torch.save(models.get_model("squeezenet1_1", weights=None).state_dict(), tmp_path / "squeezenet1_1.pth")
    status, out, err = pretrained("--models", "squeezenet1_1", "--weights-dir", tmp_path, *FAST, "--json")
    assert (status, err) == (0, "")
    (model,) = json.loads(out)["datasets"][0]["models"]
    said = [model[name] for name in ("weights", "resolution", "family")]
    assert said == ["squeezenet1_1.pth", 224, "squeezenet"]
    assert model["values"]["backbone_dim"] == 512


def test_images_without_labels_give_label_free_metrics(pretrained, place, tmp_path):
    for number in range(40):
        noise = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    encoder = place / "run0" / "milestone-0005.ckpt"
    images = shlex.split(f"--models {encoder} --dataset folder --data-dir {tmp_path} --clusters 2")
    status, out, err = pretrained(*images, "--umap-seeds", "1")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "have no labels" in err
    status, out, _ = pretrained(*images, "--umap-seeds", "1", "--probe", "none", "--json")
    (model,) = json.loads(out)["datasets"][0]["models"]
    assert status == 0
    assert "label_free/entropy" in model["values"]


MISTAKES = [
    ("correlate SWEEP --json --csv", 2, "give only one of --json, --csv and --latex"),
    ("correlate SWEEP --oracle labelled/knn", 2, "unknown labelled metric 'labelled/knn'"),
    ("correlate SWEEP --oracle ami_labels", 1, "no finished run of"),
    ("correlate SWEEP --metric rankm", 1, "logged rankm"),
    ("figures COURSES --run aaa", 1, "holds no run 'aaa', did you mean 'aa'?"),
    (
        "figures COURSES --run b.b --metric entropy",
        1,
        "run b.b has 2 milestones with label_free/entropy, 3 are needed",
    ),
    ("figures COURSES", 1, "run b.b has 0 milestones with label_free/rankme"),
    ("figures COURSES --format gif", 2, "gif"),
    ("pretrained --dataset digits --models resnet19", 1, "unknown model 'resnet19', did you mean"),
    ("pretrained --dataset digits --models resnet18 --weights-dir .", 1, "no weights of resnet18 in '.'"),
    ("pretrained --dataset digits --models gone.ckpt", 1, "there is no checkpoint 'gone.ckpt'"),
    ("pretrained --dataset digits --models gone.ckpt --weights none", 1, "names trained weights"),
    ("pretrained --json --csv", 2, "give only one of --json, --csv and --latex"),
    ("pretrained --dataset digits --images 0", 2, "--images must be at least 1, got 0"),
    ("pretrained --dataset digits --images 12", 1, "too few for 10 and 20 clusters"),
    ("pretrained --figure a.gif", 1, "must end in one of .png, .svg, .pdf"),
    ("pretrained --figure a.png --probe none", 2, "--probe none trains none"),
    ("pretrained --latex --probe none", 2, "--probe none trains none"),
    ("pretrained --figure a.png --dataset digits cifar10", 2, "--figure draws one data set"),
    ("pretrained --dataset cifr10", 2, "cifar10"),
    ("pretrained --dataset cifar10", 1, "needs --data-dir"),
]


@pytest.mark.parametrize(("line", "expected", "said"), MISTAKES)
def test_mistakes_are_one_line(call, sweep, courses, tmp_path, monkeypatch, line, expected, said):
    monkeypatch.chdir(tmp_path)
    folders = {"SWEEP": sweep, "COURSES": courses}
    status, out, err = call(*(folders.get(word, word) for word in shlex.split(line)))
    assert (status, out, err.count("\n")) == (expected, "", 1)
    assert said in err
