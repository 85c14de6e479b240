from dataclasses import replace
from pathlib import Path

import pytest
from offline_files import write_run

from selector.errors import UserError
from selector.runs import Milestone, Run, is_online, read_source


@pytest.mark.parametrize(
    "source",
    [
        "entity/project/sweep1",
        "entity/project",
        "my-team/my.project/a1b2c3d4",
        "https://wandb.ai/entity/project/sweeps/a1b2c3d4",
        "HTTP://localhost:8080/e/p",
        "entity/project/",
        "entity/my own project/sweep1",
        "entity/my own project/sweeps/sweep1/",
        "entity/project/runs/run1",
    ],
)
def test_online(source: str):
    assert is_online(source)


def test_a_bare_sweep_id_is_online_where_wandb_knows_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert not is_online("a1b2c3d4")
    monkeypatch.setenv("WANDB_PROJECT", "p")
    assert is_online("a1b2c3d4")
    assert is_online("a1b2c3d4/")
    (tmp_path / "a1b2c3d4").mkdir()
    assert not is_online("a1b2c3d4")


def test_a_project_with_spaces_is_online_where_wandb_knows_the_entity(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WANDB_ENTITY", raising=False)
    assert not is_online("my project/a1b2c3d4")
    monkeypatch.setenv("WANDB_ENTITY", "team")
    assert is_online("my project/a1b2c3d4")


@pytest.mark.parametrize(
    "source",
    ["runs", "/runs/a/b", "./a/b", "../a/b", "~/a/b", "a/b/c/d", "a/../b", "", ".", "a b/c/d", "a//b"],
)
def test_a_folder(source: str):
    assert not is_online(source)


@pytest.mark.parametrize("source", ["", " "])
def test_no_name_is_not_the_folder_that_one_is_in(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run-x.wandb", "x")
    with pytest.raises(UserError, match="the source is empty"):
        read_source(source)


def test_a_folder_that_exists_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "a" / "b" / "c" / "run-x.wandb", "x")
    for source in ("a/b/c", "a/b"):
        assert [run.id for run in read_source(source).runs] == ["x"]


def test_runs_that_hold_what_selectors_wrote_are_left_out(tmp_path: Path):
    write_run(tmp_path / "run-a.wandb", "a", job_type="train")
    write_run(tmp_path / "run-b.wandb", "b", job_type="selection", exit_code=None)
    found = read_source(str(tmp_path))
    assert ([run.id for run in found.runs], found.ended) == (["a"], True)


def test_when_a_run_was_first_started(tmp_path: Path):
    for start in (5000.5, 4000.25):
        file = tmp_path / str(start) / "run-a.wandb"
        write_run(file, "a", rows=[{"epoch": 1, "_timestamp": start + 1}], started=start)
    (run,) = read_source(str(tmp_path)).runs
    assert run.started == 4000.25


@pytest.mark.parametrize("source", ["x" * 5000, "a\0b"])
def test_a_name_that_no_folder_can_have(source: str):
    with pytest.raises(UserError, match="there is no folder"):
        read_source(source)


def test_projects_and_sweeps_in_a_folder(tmp_path: Path):
    for run, project, sweep in (("a", "p", "s1"), ("b", "p", "s2"), ("c", "q", "s1")):
        write_run(tmp_path / f"run-{run}.wandb", run, project=project, sweep_id=sweep)

    def ids(**wanted: str) -> list[str]:
        return [run.id for run in read_source(str(tmp_path), **wanted).runs]

    assert ids(project="p") == ["a", "b"]
    assert ids(sweep="s1") == ["a", "c"]
    assert ids(project="q", sweep="s1") == ["c"]
    warnings = [read_source(str(tmp_path), project=project).warnings for project in (None, "p")]
    assert warnings == [("holds runs of 2 projects; --project takes one of p, q",), ()]
    with pytest.raises(UserError, match="holds no runs of project 'q' and sweep 's2': check the spelling"):
        ids(project="q", sweep="s2")


def test_the_untrained_network_is_no_trained_milestone_but_step_zero_is():
    rows = (Milestone(0, {}), Milestone(5, {}))
    one = Run(id="x", config={}, state="finished", definition={}, milestones=rows)
    assert one.trained_milestones == rows[1:]
    for axis in ("_step", "trainer/global_step"):
        assert replace(one, counted_by=axis).trained_milestones == rows


def test_what_chooses_in_a_folder_is_not_ignored_on_a_server():
    for only in ({"project": "p"}, {"sweep": "s"}):
        with pytest.raises(
            UserError, match="--project and --sweep choose among the runs of a folder, and e/p"
        ):
            read_source("e/p", **only)
