import dataclasses
from pathlib import Path

import pytest

from selector.config import TrainConfig, paper_recipe
from selector.errors import UserError
from selector.record import Record
from selector.training.run_folder import checkpoint_path, open_run_folder


@pytest.fixture(autouse=True)
def no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_RUN_ID", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)


def config(folder: Path, **changes: object) -> TrainConfig:
    return dataclasses.replace(paper_recipe("simclr"), output_dir=str(folder), **changes)


def leave_checkpoint(folder: Path, epoch: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = checkpoint_path(folder, epoch)
    path.write_bytes(b"")
    return path


def test_a_repeated_run_takes_a_new_folder_and_resume_finds_the_last(tmp_path: Path) -> None:
    first = open_run_folder(config(tmp_path))
    leave_checkpoint(first, 20)
    second = open_run_folder(config(tmp_path))
    assert second.name == f"{first.name}-2"
    leave_checkpoint(second, 40)
    assert open_run_folder(config(tmp_path, resume=True)) == second


@pytest.mark.parametrize(
    "changes", [{"temperature": 0.2}, {"seed": 1}, {"projector_dim": 64}, {"method": "simclr", "epochs": 9}]
)
def test_another_configuration_never_resumes_a_sibling(tmp_path: Path, changes: dict[str, object]) -> None:
    leave_checkpoint(open_run_folder(config(tmp_path)), 20)
    assert not open_run_folder(config(tmp_path, resume=True, **changes)).exists()


def test_a_sweeps_run_id_names_the_folder_and_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "abc123")
    for _ in range(2):
        assert open_run_folder(config(tmp_path)) == tmp_path / "abc123"
        leave_checkpoint(tmp_path / "abc123", 60)


@pytest.mark.parametrize("name", ["../../etc", "/abs", "a b", "", ".hidden", "-rf", "a" * 200])
def test_a_run_id_never_becomes_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", name)
    if name == "":  # as good as not set
        assert open_run_folder(config(tmp_path)).parent == tmp_path
    else:
        with pytest.raises(UserError, match="cannot name a folder"):
            open_run_folder(config(tmp_path))


def test_a_place_that_cannot_be_one_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("file", "file/below"):
        with pytest.raises(UserError, match=r"no place for checkpoints in .*file' is not a folder"):
            open_run_folder(config(tmp_path / place))
    assert open_run_folder(config(tmp_path / "new" / "one")).parent == tmp_path / "new" / "one"


def test_a_run_of_other_epochs_is_not_resumed_and_the_reason_is_said(tmp_path: Path, capsys) -> None:
    shorter = dataclasses.replace(paper_recipe("simclr"), epochs=1, output_dir=str(tmp_path))
    folder = open_run_folder(shorter)
    Record(folder, dataclasses.asdict(shorter)).end("completed", 1)
    (folder / "milestone-0001.ckpt").write_bytes(b"?")
    longer = dataclasses.replace(shorter, epochs=2, resume=True)
    assert open_run_folder(longer) != folder
    said = capsys.readouterr().err
    assert "cannot go on to 2; a new run starts" in said
    assert f"--init-from {folder / 'milestone-0001.ckpt'}" in said
    open_run_folder(dataclasses.replace(longer, seed=3))
    assert capsys.readouterr().err == ""
