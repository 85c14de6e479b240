"""The wheel by itself: in a fresh environment without torch it reads, ranks and reports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from handmade import run, write_sweep

from selector.runs import Milestone

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow  # an environment of its own is installed


def call(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=900, **more)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of a fresh environment that holds the wheel and what it depends on."""
    place = tmp_path_factory.mktemp("wheel")
    uv = [sys.executable, "-m", "uv"] if call(sys.executable, "-m", "uv", "--version")[0] == 0 else ["uv"]
    for words in (
        [*uv, "build", "--wheel", "--out-dir", place, ROOT],
        [*uv, "venv", "--python", sys.executable, place / "fresh"],
    ):
        status, _, err = call(*words)
        assert status == 0, err
    (wheel,) = place.glob("*.whl")
    python = place / "fresh" / "bin" / "python"
    status, _, err = call(*uv, "pip", "install", "--python", python, wheel)
    assert status == 0, err
    return python


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Three runs as an offline folder, and an export."""
    place = tmp_path_factory.mktemp("runs")
    runs = [
        run(id, milestones=(Milestone(5, {"label_free/rankme": rankme}),))
        for id, rankme in (("a", 1.0), ("b", 3.0), ("c", 2.0))
    ]
    return {
        "folder": write_sweep(place / "sweep", *runs),
        "export": ROOT / "docs" / "evidence" / "simclr-digits.json",
    }


def test_torch_is_not_there(python):
    assert call(python, "-c", "import torch")[0] == 1
    assert call(python, "-c", "from selector import rank, read_runs, regret")[0] == 0


@pytest.mark.parametrize("kind", ["folder", "export"])
def test_it_ranks_and_reports(python, sources, tmp_path, kind):
    selector = python.parent / "selector"
    status, out, err = call(selector, "rank", sources[kind], "--metric", "rankme", "--json", cwd=tmp_path)
    assert status == 0, err
    ranking = json.loads(out)["groups"][0]["ranking"]
    scores = [entry["score"] for entry in ranking]
    assert len(scores) >= 3
    assert scores == sorted(scores, reverse=True)
    status, _, err = call(
        selector, "report", sources[kind], "--metric", "rankme", "--output", "r.html", cwd=tmp_path
    )
    assert status == 0, err
    assert (tmp_path / "r.html").stat().st_size > 10_000


def test_the_command_that_repeats_a_run_needs_no_checkout(python, sources, tmp_path):
    status, out, err = call(python.parent / "selector", "best", sources["export"], cwd=tmp_path)
    assert status == 0, err
    assert "# repeat it: python -m selector.carried.train --method=simclr" in out


def test_what_needs_torch_says_what_to_install(python, sources, tmp_path):
    status, out, err = call(
        python.parent / "selector", "figures", sources["export"], "--output", "f", cwd=tmp_path
    )
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "pip install 'ssl-sweep-selector[train]'" in err
