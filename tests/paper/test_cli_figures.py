"""`selector figures`, from a folder of runs to files."""

import json

import pytest
from handmade import ACCURACY, run, write_sweep

from selector.cli import main
from selector.runs import Milestone


@pytest.fixture
def folder(tmp_path):
    rows = [
        Milestone(5 * e, {"label_free/entropy": 4.0 - e, "my/key": e * e, ACCURACY.key: e / 9})
        for e in range(4)
    ]
    return write_sweep(
        tmp_path / "sweep", run("aa", milestones=tuple(rows)), run("b.b", milestones=tuple(rows[:2]))
    )


def call(capsys, *arguments):
    try:
        status = main(["figures", *map(str, arguments)])
    except SystemExit as stop:
        status = stop.code
    output = capsys.readouterr()
    return status, output.out, output.err


def test_a_picture_a_run_and_metric(capsys, folder, tmp_path):
    status, out, err = call(
        capsys, folder, "--output", tmp_path / "f", "--metric", "entropy", "my/key", "--format", "svg"
    )
    assert status == 0
    assert out.splitlines() == [str(tmp_path / "f" / name) for name in ("aa-entropy.svg", "aa-my_key.svg")]
    assert all((tmp_path / "f" / name).stat().st_size > 5000 for name in ("aa-entropy.svg", "aa-my_key.svg"))
    assert "run b.b has 2 milestones with label_free/entropy" in err


def test_as_json_the_rows_are_printed(capsys, folder, tmp_path):
    status, out, _ = call(capsys, folder, "--output", tmp_path, "--run", "aa", "--json")
    (figure,) = json.loads(out)["figures"]
    assert (status, figure["run"], figure["metric"]) == (0, "aa", "entropy")
    assert [point["epoch"] for point in figure["points"]] == [0, 5, 10, 15]
    assert figure["with_init"] == pytest.approx(-1)


@pytest.mark.parametrize(
    ("arguments", "expected", "said"),
    [
        (["--run", "aaa"], 1, "holds no run 'aaa', did you mean 'aa'?"),
        (["--run", "b.b"], 1, "run b.b has 2 milestones with label_free/entropy, 3 are needed"),
        (["--metric", "rankme"], 1, "run b.b has 0 milestones with label_free/rankme"),
        (["--format", "gif"], 2, "gif"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(capsys, folder, arguments, expected, said):
    status, out, err = call(capsys, folder, *arguments)
    assert (status, out, err.count("\n")) == (expected, "", 1)
    assert said in err
