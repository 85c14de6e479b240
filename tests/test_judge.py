"""`selector judge`: late labels, what the pick cost by them, and whether they are enough."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from handmade import run, write_sweep
from PIL import Image
from scipy import stats
from test_take_home import call
from tiny_encoder import NARROW, save, trained

from selector.runs import Milestone
from selector.selection.judging import judge
from selector.training.late_labels import read_labelled

COLOURS = {"blue": (40, 60, 200), "green": (60, 200, 60), "red": (200, 60, 40)}


def test_regret_and_what_n_labels_can_tell_by_hand():
    # 100 images. The pick tells 80 right, b the same and 10 more, c none of the pick's first 40.
    pick = np.repeat([1.0, 0.0], [80, 20])
    b = np.repeat([1.0, 0.0], [90, 10])
    c = np.repeat([0.0, 1.0, 0.0], [40, 40, 20])
    names = {"a": "x", "b": "y", "c": "z"}
    found = judge({"a": pick, "b": b, "c": c}, dict.fromkeys("abc", 0.5), names, "a")
    assert [(one.run, one.accuracy) for one in found.runs] == [("b", 0.9), ("a", 0.8), ("c", 0.4)]
    assert (found.pick, found.best, found.regret) == ("a", "b", pytest.approx(0.1))
    # b - a is 1 for 10 of 100 images: standard error √(0.09 · 100/99 / 100) = 0.03015. Of two comparisons
    # each has the quantile at 1 - 0.05/4: 2.241 · 0.03015 = 0.0676, less than the gap.
    error = (b - pick).std(ddof=1) / 10
    assert error == pytest.approx(0.03015, abs=1e-5)
    reach = stats.norm.ppf(1 - 0.05 / 4) * error
    assert found.interval == pytest.approx((0.1 - reach, 0.1 + reach))
    assert found.told_apart
    assert [one.told_from_pick for one in found.runs] == [True, False, True]
    assert found.labels_needed == int(np.ceil(100 * (reach / 0.1) ** 2)) == 46
    # The standard error of the pick's accuracy: √(0.8 · 0.2 · 100/99 / 100).
    assert found.runs[1].standard_error == pytest.approx((0.16 / 99) ** 0.5)


def test_equal_runs_cannot_be_told_apart_by_any_number():
    right = np.repeat([1.0, 0.0], 10)
    found = judge({"a": right, "b": right}, {"a": 1, "b": 1}, {"a": "a", "b": "b"}, "a")
    assert (found.regret, found.told_apart, found.labels_needed) == (0, False, None)
    alone = judge({"a": right}, {"a": 1}, {"a": "a"}, "a")
    assert (alone.interval, alone.told_apart) == (None, False)


@pytest.fixture
def labelled(tmp_path):
    """Eight images of each of three colours."""
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (tmp_path / "late" / name).mkdir(parents=True)
        for number in range(8):
            pixels = (np.array(colour) + rng.integers(-30, 30, (10, 10, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "late" / name / f"{number}.png")
    return tmp_path / "late"


@pytest.fixture
def sweep(tmp_path):
    """Two runs with checkpoints, one of which tells no image from another, and one without."""
    stored, _ = trained(**NARROW)
    blind, _ = trained(**NARROW)
    for name, value in blind.state.items():
        if name.startswith("backbone.6") and name.endswith(("weight", "bias")):
            blind.state[name] = torch.zeros_like(value)
    runs = []
    for id, checkpoint, rankme in (("blind", blind, 9.0), ("sees", stored, 5.0), ("gone", None, 3.0)):
        path = tmp_path / "sweep" / "runs" / id / "milestone-0005.ckpt"
        if checkpoint is not None:
            save(checkpoint, path)
        one = run(id, milestones=(Milestone(5, {"label_free/rankme": rankme}),), learning_rate=rankme)
        runs.append(replace(one, checkpoint=str(path)))
    return write_sweep(tmp_path / "sweep", *runs)


def test_a_sweep_is_judged(capsys, sweep, labelled):
    arguments = ("judge", sweep, "--metric", "rankme", "--labelled", labelled, "--device", "cpu")
    status, out, err = call(capsys, *arguments, "--json")
    assert status == 0
    assert "run gone is left out: the checkpoint of run gone is not on this machine" in err
    found = json.loads(out)
    (group,) = found["groups"]
    assert (found["labels"], found["classes"]) == (24, sorted(COLOURS))
    assert (group["pick"], group["best"], group["told_apart"]) == ("blind", "sees", True)
    best, pick = group["runs"]
    assert best["accuracy"] > 0.9
    assert pick["accuracy"] < 0.5
    assert group["regret"] == pytest.approx(best["accuracy"] - pick["accuracy"])
    status, out, _ = call(capsys, *arguments)
    text = " ".join(out.split())
    assert status == 0
    assert "24 labelled images" in text
    assert "the pick" in text
    assert f"Regret of the pick by rankme: {100 * group['regret']:.1f} points" in text
    assert "24 labels are enough to tell the pick from the best run." in text


BY_LABELS = {
    "labels": 300,
    "pick": "a",
    "best": "b",
    "regret": 0.1,
    "interval": [0.02, 0.18],
    "told_apart": True,
    "labels_needed": 120,
    "runs": [
        {
            "run": "b",
            "name": "b",
            "accuracy": 0.7,
            "standard_error": 0.026,
            "knn_accuracy": 0.6,
            "pick": False,
            "told_from_pick": True,
        },
        {
            "run": "a",
            "name": "a",
            "accuracy": 0.6,
            "standard_error": 0.028,
            "knn_accuracy": 0.5,
            "pick": True,
            "told_from_pick": False,
        },
    ],
}


@pytest.fixture
def judged(tmp_path):
    """A sweep without labels of which RankMe picks a, and a place for what late labels said of it."""
    return write_sweep(
        tmp_path / "runs", run("a", 3.0), run("b", 2.0), run("c", 1.0)
    ), tmp_path / "judged.json"


def test_the_report_takes_the_judgement(capsys, judged):
    folder, file = judged
    page = folder.parent / "page.html"
    options = ("report", folder, "--metric", "rankme", "--output", page)
    assert call(capsys, *options)[0] == 0
    assert "--labelled DIR --json &gt; judged.json" in re.sub("</?span>", "", page.read_text())
    file.write_text(json.dumps({"groups": [BY_LABELS]}))
    assert call(capsys, *options, "--judged", file)[0] == 0
    text = page.read_text()
    for said in (
        "300 labels that came later judge it",
        "By 300 late labels, run b is 10.0 points better.",
        '"name">regret by 300 late labels</span><span class="note">95 %: 2.0 to 18.0<',
        "300 labels are enough to tell the pick from the best run.",
        '<button type="button">300 late labels, %</button>',
        ">70.0 ±2.6<",
        ">60.0 ±2.8<",
        'data-sort="" class="number">–<',  # c was not judged
    ):
        assert said in text, said
    assert "judged.json" not in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not a result of `selector judge`"),
        ("[]", "is not a result of `selector judge`"),
        (
            '{"groups": [{"labels": 3}]}',
            r"is not a result of `selector judge` \(groups.0.pick Field required\)",
        ),
        (json.dumps({"groups": []}), "judges none of the runs that are ranked here"),
        (json.dumps({"groups": [BY_LABELS | {"pick": "b"}]}), "judges the pick b, and this page's pick is a"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_judgement_of_something_else_is_one_line(capsys, judged, content, said):
    folder, file = judged
    if content is not None:
        file.write_text(content)
    status, out, err = call(capsys, "report", folder, "--metric", "rankme", "--judged", file)
    assert (status, out) == (1, "")
    assert re.search(said, err.splitlines()[-1]), err


def test_a_csv_file_names_the_same_images(labelled):
    folder = read_labelled(labelled)
    named = zip(folder.files, folder.labels, strict=True)
    lines = [f"{file.relative_to(labelled)},{folder.classes[label]}" for file, label in named]
    for heading in ("", "file,label\n"):
        (labelled / "labels.csv").write_text(heading + "\n".join(lines), encoding="utf-8")
        from_csv = read_labelled(labelled / "labels.csv")
        assert from_csv.files == folder.files
        assert np.array_equal(from_csv.labels, folder.labels)


@pytest.mark.parametrize(
    ("option", "expected", "said"),
    [
        (["--milestone", "5"], 2, "leave out --milestone"),
        (["--direction", "min"], 1, "the checkpoint of run gone is not"),
    ],
)
def test_what_cannot_be_judged_is_one_line(capsys, sweep, labelled, option, expected, said):
    status, out, err = call(capsys, "judge", sweep, "--metric", "rankme", "--labelled", labelled, *option)
    assert (status, out) == (expected, "")
    assert said in err
    assert "Traceback" not in err
