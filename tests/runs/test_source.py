from pathlib import Path

import pytest
from offline_files import write_run

from selector.errors import UserError
from selector.runs.source import is_online, read_source


@pytest.mark.parametrize(
    "source",
    [
        "entity/project/sweep1",
        "my-team/my.project/a1b2c3d4",
        "https://wandb.ai/entity/project/sweeps/a1b2c3d4",
        "HTTP://localhost:8080/e/p",
    ],
)
def test_online(source: str):
    assert is_online(source)


@pytest.mark.parametrize(
    "source",
    [
        "runs", "runs/digits", "/runs/a/b", "./a/b", "../a/b", "~/a/b", "a/b/", "a/b/c/d", "a/../b", "", ".",
        "a b/c/d", "a//b",
    ],
)  # fmt: skip
def test_a_folder(source: str):
    assert not is_online(source)


def test_a_folder_that_exists_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "a" / "b" / "c" / "run-x.wandb", "x")
    assert [run.id for run in read_source("a/b/c").runs] == ["x"]


def test_a_folder_that_is_missing(tmp_path: Path):
    with pytest.raises(UserError, match=r"there is no folder .*/gone"):
        read_source(str(tmp_path / "gone"))


@pytest.mark.parametrize("source", ["x" * 5000, "a\0b"])
def test_a_name_that_no_folder_can_have(source: str):
    with pytest.raises(UserError, match="there is no folder"):
        read_source(source)
