"""Whatever is handed to best --export, embed and judge: one line of what came, and nothing is written."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from handmade import run, write_sweep
from PIL import Image
from test_take_home import call
from tiny_encoder import NARROW, save, trained

from selector.runs import Milestone
from selector.training.exported import encoder_of, write_encoder

TRACE = "code-ran"


class Code:
    def __reduce__(self):
        return os.mkdir, (TRACE,)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A sweep of which only aa has a checkpoint, its export, photos, labels, and odd checkpoints."""
    place = tmp_path_factory.mktemp("place")
    stored, _ = trained(**NARROW)
    runs = []
    for id, rankme in (("aa", 9.0), ("cc", 3.0)):
        path = place / "sweep" / "runs" / id / "milestone-0005.ckpt"
        one = run(id, milestones=(Milestone(5, {"label_free/rankme": rankme}),), learning_rate=rankme)
        runs.append(replace(one, checkpoint=str(path)))
    save(stored, place / "sweep" / "runs" / "aa" / "milestone-0005.ckpt")
    write_sweep(place / "sweep", *runs)
    write_encoder(encoder_of(stored), place / "best", "card")
    write_encoder(encoder_of(trained(channels=13, **NARROW)[0]), place / "bands", "card")
    torch.save({"state_dict": {"conv1.weight": torch.zeros(2)}}, place / "theirs.ckpt")
    state = {**stored.state, "backbone.0.weight": torch.zeros(7, 3, 3, 3)}
    save(replace(stored, state=state), place / "other.ckpt")
    (place / "code.ckpt").write_bytes(pickle.dumps(Code()))
    torch.save({"state_dict": Code(), "train_config": {}}, place / "code-too.ckpt")
    for name in ("photos/1.png", "late/red/1.png", "late/red/2.png", "late/blue/1.png", "one/red/1.png"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(place / name)
    (place / "photos" / "z.png").write_bytes(b"no image")
    (place / "empty").mkdir()
    for name, content in {
        "gone.csv": "photos/1.png,red\nphotos/2.png,blue\n",
        "narrow.csv": "photos/1.png\n",
        "empty.csv": "",
        "one.csv": "late/red/1.png,x\nlate/red/2.png,x\n",
        "first.csv": "gone.png,x\nlate/red/1.png,x\nlate/red/2.png,y\n",
        "twice.csv": "file,label\nlate/red/1.png,x\nlate/red/2.png,y\nlate/red/1.png,y\n",
        "blank.csv": "late/red/1.png,x\nlate/red/2.png,\n",
        "single.csv": "late/red/1.png,x\nlate/red/2.png,x\nlate/blue/1.png,y\n",
    }.items():
        (place / name).write_text(content)
    return place


RANK = ["sweep", "--metric", "rankme"]
TO = ["--output", "f.npz"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["best", *RANK, "--export", "photos"], "'photos' exists: name a new folder for the export"),
        (["best", *RANK, "--direction", "min", "--export", "new"], "the checkpoint of run cc is not on this"),
        (["best", "theirs.ckpt", "--export", "new"], "theirs.ckpt"),
        (["embed", "theirs.ckpt", "photos", *TO], "'theirs.ckpt' is not a checkpoint of train.py"),
        (["embed", "other.ckpt", "photos", *TO], "'other.ckpt' is damaged: its weights are not those of"),
        (["embed", "code.ckpt", "photos", *TO], "'code.ckpt' cannot be read"),
        (["embed", "code-too.ckpt", "photos", *TO], "'code-too.ckpt' cannot be read"),
        (["embed", "nowhere", "photos", *TO], "there is no encoder 'nowhere'"),
        (["embed", "photos", "photos", *TO], "'photos' holds no encoder"),
        (["embed", "photos/z.png", "photos", *TO], "checkpoint 'photos/z.png' cannot be read"),
        (["embed", "bands", "late", *TO], "13"),
        (["embed", "best", "photos", *TO], "z.png' cannot be read"),
        (["embed", "best", "photos", "--output", "f.csv"], "--output must end in one of .npz, .parquet"),
        (["embed", "best", "photos", *TO, "--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["embed", "best", "nowhere", *TO], "no folder 'nowhere'"),
        (["embed", "best", "empty", *TO], "no image in 'empty'"),
        (
            ["embed", "best", "photos/z.png", *TO, "--skip-bad-images"],
            "no image can be read (1 found), the first",
        ),
        (["judge", *RANK, "--labelled", "nowhere"], "no labelled images in 'nowhere'"),
        (["judge", *RANK, "--labelled", "late/red"], "lies next to the classes of 'late/red'"),
        (["judge", *RANK, "--labelled", "one"], "'one' has images of one class only"),
        (["judge", *RANK, "--labelled", "late"], "class 'blue' of 'late' has one image"),
        (
            ["judge", *RANK, "--labelled", "gone.csv"],
            "names 1 missing file, the first is 'photos/2.png'",
        ),
        (["judge", *RANK, "--labelled", "narrow.csv"], "must have two columns, file name and label"),
        (["judge", *RANK, "--labelled", "empty.csv"], "names no files"),
        (["judge", *RANK, "--labelled", "first.csv"], "names 1 missing file, the first is 'gone"),
        (
            ["judge", *RANK, "--labelled", "twice.csv"],
            "names 1 file more than once, the first is 'late/red/1",
        ),
        (
            ["judge", *RANK, "--labelled", "blank.csv"],
            "has 1 file without a label, the first is 'late/red/2",
        ),
        (["judge", *RANK, "--labelled", "one.csv"], "images of one class only"),
        (["judge", *RANK, "--labelled", "single.csv"], "class 'y' of 'single.csv' has one image"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_it_is_one_line(capsys, place, monkeypatch, arguments, said):
    monkeypatch.chdir(place)
    before = sorted(Path().iterdir())
    status, out, err = call(capsys, *arguments)
    assert (status, out, err.count("\n")) == (1, "", 1), err
    assert said in err
    assert sorted(Path().iterdir()) == before
