import os
from pathlib import Path

from selector.tracking.run_files import find_run_files, run_id_of


def touch(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"")
    return file


def test_files_at_any_depth_in_the_order_of_paths(tmp_path: Path):
    files = [
        touch(tmp_path / "a" / "wandb" / "offline-run-20260101_000000-one" / "run-one.wandb"),
        touch(tmp_path / "b" / "wandb" / "run-20260101_000000-two" / "run-two.wandb"),
        touch(tmp_path / "moved.wandb"),
    ]
    touch(tmp_path / "run-one.wandb.synced")
    touch(tmp_path / "a" / "ledger.json")
    found = find_run_files(tmp_path)
    assert sorted(found.files) == files
    assert found.files == find_run_files(tmp_path).files
    assert found.sweep_folders == [tmp_path / "a"]
    assert (found.unreadable, found.warnings) == ([], [])
    assert [run_id_of(file) for file in files] == ["one", "two", "moved.wandb"]


def test_each_file_once_whatever_links_to_it(tmp_path: Path):
    real = touch(tmp_path / "wandb" / "offline-run-20260101_000000-one" / "run-one.wandb")
    (tmp_path / "wandb" / "latest-run").symlink_to(real.parent.name)
    (tmp_path / "run-20260101_000000-one").symlink_to(real.parent)
    (tmp_path / "a.wandb").symlink_to(real)
    (real.parent / "loop").symlink_to(tmp_path)
    (tmp_path / "wandb" / "loop").symlink_to(tmp_path)
    assert [file.resolve() for file in find_run_files(tmp_path).files] == [real]


def test_run_folders_elsewhere_are_followed_and_other_folders_are_not(tmp_path: Path):
    run = touch(tmp_path / "elsewhere" / "offline-run-20260101_000000-one" / "run-one.wandb").parent
    touch(tmp_path / "elsewhere" / "other" / "run-two.wandb")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / run.name).symlink_to(run)
    (tmp_path / "here" / "other").symlink_to(tmp_path / "elsewhere" / "other")
    assert [file.name for file in find_run_files(tmp_path / "here").files] == ["run-one.wandb"]


def test_what_a_run_saved_is_not_searched(tmp_path: Path):
    run = touch(tmp_path / "offline-run-20260101_000000-one" / "run-one.wandb").parent
    touch(run / "files" / "run-two.wandb")
    assert [file.name for file in find_run_files(tmp_path).files] == ["run-one.wandb"]


def test_what_cannot_be_read_is_reported(tmp_path: Path):
    (tmp_path / "offline-run-20260101_000000-bare" / "files").mkdir(parents=True)
    os.mkfifo(tmp_path / "run-pipe.wandb")
    (tmp_path / "run-broken.wandb").symlink_to(tmp_path / "gone")
    (tmp_path / "folder.wandb").mkdir()
    found = find_run_files(tmp_path)
    (bare,) = found.blank
    assert bare.run == "bare"
    assert "holds no .wandb file" in bare.reason
    reasons = {gone.run: gone.reason for gone in found.unreadable}
    assert reasons.keys() == {"pipe", "broken"}
    assert "is no regular file" in reasons["pipe"]
    assert "cannot be read: No such file or directory" in reasons["broken"]


def test_names_cannot_reach_the_terminal(tmp_path: Path):
    os.mkfifo(tmp_path / "run-\x1b[31m\n.wandb")
    (gone,) = find_run_files(tmp_path).unreadable
    assert gone.reason.isprintable()
