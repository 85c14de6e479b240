"""`selector correlate`, from a folder of offline runs to what it prints."""

import json
import shlex

import pytest
from handmade import run, write_sweep

from selector.cli import main
from selector.runs import Milestone


@pytest.fixture
def folder(tmp_path):
    """Two runs: rankme and the accuracy go as 1, 3, 2, 4 against 1, 2, 3, 4 in one, together in the other."""
    rows = {"aa": (1.0, 3.0, 2.0, 4.0), "bb": (1.0, 2.0, 3.0, 4.0)}
    return write_sweep(tmp_path / "sweep", *(trained(id, rankme) for id, rankme in rows.items()))


def trained(id, rankme):
    values = ("label_free/rankme", "other/score", "labelled/knn_accuracy", "labelled/linear_probe_accuracy")
    milestones = tuple(
        Milestone(5 * e, dict(zip(values, (x, -x, x / 10, e / 10), strict=True)))
        for e, x in enumerate(rankme)
    )
    return run(id, milestones=milestones)


def call(capsys, *arguments):
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code
    output = capsys.readouterr()
    return status, output.out, output.err


def test_for_people(capsys, folder):
    status, out, err = call(capsys, "correlate", folder, "--published")
    assert (status, err) == (0, "")
    assert "simclr, digits: medians of 2 runs, 4 milestones w/, 3 w/o" in out
    (line,) = [line for line in out.splitlines() if line.startswith("rankme") and "✓" in line]
    assert line.split()[2:4] == ["0.90", "0.75"]  # medians of 0.8 and 1, of 0.5 and 1
    assert "-0.57*" in out
    assert max(map(len, out.splitlines())) <= 80


def test_as_json_prints_one_object_and_nothing_else(capsys, folder):
    status, out, _ = call(capsys, "correlate", folder, "--json")
    found = json.loads(out)
    assert (status, found["oracle"]) == (0, "linear_probe_accuracy")
    metrics = {row["metric"]: row for row in found["groups"][0]["metrics"]}
    assert list(metrics) == ["rankme", "knn_accuracy"]
    assert metrics["rankme"]["with_init"]["pearson"] == pytest.approx(0.9)


def test_keys_of_somebody_elses_runs(capsys, folder):
    options = shlex.split("--metric other/score label_free/rankme --oracle knn_accuracy --json")
    assert call(capsys, "correlate", folder, *options[:3], "ami_labels", *options[3:])[1] == ""  # not logged
    status, out, _ = call(capsys, "correlate", folder, *options)
    metrics = {row["key"]: row["with_init"]["pearson"] for row in json.loads(out)["groups"][0]["metrics"]}
    assert status == 0
    assert metrics == {"other/score": pytest.approx(-1), "label_free/rankme": pytest.approx(1)}


@pytest.mark.parametrize(
    ("arguments", "expected", "said"),
    [
        (["--json", "--csv"], 2, "give only one of --json, --csv and --latex"),
        (["--oracle", "labelled/knn"], 2, "unknown labelled metric 'labelled/knn'"),
        (["--oracle", "ami_labels"], 1, "none of the 2 finished runs"),
        (["--metric", "rankm"], 1, "logged rankm"),
    ],
)
def test_refusals_are_one_line(capsys, folder, arguments, expected, said):
    status, out, err = call(capsys, "correlate", folder, *arguments)
    assert (status, out, err.count("\n")) == (expected, "", 1)
    assert said in err
