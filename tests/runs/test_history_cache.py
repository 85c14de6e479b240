import math
from pathlib import Path

import pytest

from selector.runs.history_cache import HistoryCache, Milestones, user_cache
from selector.runs.run import Milestone

RUN = ["https://api.wandb.ai", "team", "project", "../../etc/x1"]
SIGNATURE = ["run:1", "2026-01-01T00:00:00", None, 3]
HISTORY = Milestones(
    "epoch",
    (
        Milestone(0, {"a": 0.1, "b": math.inf}),
        Milestone(5, {"a": -2.5}),
        Milestone(7, {"a": 1e-300, "b": 3.0, "ü": 4.0}),
    ),
)


def files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    "history",
    [
        HISTORY,
        Milestones(),
        Milestones("_step", (Milestone(1, {}),)),
        Milestones("_step", HISTORY.milestones),
    ],
)
def test_gives_back_what_it_got(tmp_path: Path, history: Milestones):
    HistoryCache(tmp_path).store(RUN, SIGNATURE, history)
    assert HistoryCache(tmp_path).load(RUN, SIGNATURE) == history


def test_nan_stays_nan_and_missing_stays_missing(tmp_path: Path):
    cache = HistoryCache(tmp_path)
    cache.store(
        RUN, SIGNATURE, Milestones("epoch", (Milestone(0, {"a": math.nan}), Milestone(1, {"b": 1.0})))
    )
    loaded = cache.load(RUN, SIGNATURE)
    assert loaded is not None
    first, second = (milestone.values for milestone in loaded.milestones)
    assert list(first) == ["a"]
    assert math.isnan(first["a"])
    assert second == {"b": 1.0}


@pytest.mark.parametrize(
    ("run", "signature"),
    [
        ([*RUN[:3], "x2"], SIGNATURE),
        (["https://other.example.org", *RUN[1:]], SIGNATURE),
        (RUN, [*SIGNATURE[:3], 4]),
        (RUN, ["run:2", *SIGNATURE[1:]]),
        (RUN, []),
    ],
)
def test_another_run_or_a_changed_one_is_not_found(tmp_path: Path, run: list[str], signature: list[object]):
    cache = HistoryCache(tmp_path)
    cache.store(RUN, SIGNATURE, HISTORY)
    assert cache.load(run, signature) is None


def test_names_from_the_server_name_no_files(tmp_path: Path):
    HistoryCache(tmp_path / "cache").store(RUN, SIGNATURE, HISTORY)
    (file,) = files(tmp_path)
    assert file.parent == tmp_path / "cache"
    assert "x1" not in file.name
    assert (file.stat().st_mode | file.parent.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"[1]\n", b"not JSON", "cut", "flip"])
def test_a_damaged_file_counts_for_nothing(tmp_path: Path, damage: bytes | str):
    cache = HistoryCache(tmp_path)
    cache.store(RUN, SIGNATURE, HISTORY)
    (file,) = files(tmp_path)
    content = file.read_bytes()
    if isinstance(damage, bytes):
        file.write_bytes(damage)
    else:
        file.write_bytes(content[:-3] if damage == "cut" else b"\xff" + content[1:])
    assert cache.load(RUN, SIGNATURE) is None
    cache.store(RUN, SIGNATURE, HISTORY)
    assert cache.load(RUN, SIGNATURE) == HISTORY


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    cache = HistoryCache(tmp_path / "file")
    cache.store(RUN, SIGNATURE, HISTORY)
    assert cache.load(RUN, SIGNATURE) is None


def test_without_a_folder_nothing_is_kept():
    cache = HistoryCache(None)
    cache.store(RUN, SIGNATURE, HISTORY)
    assert cache.load(RUN, SIGNATURE) is None


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(source: object, target: object) -> None:
        raise OSError("disk full")

    cache = HistoryCache(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        cache.store(RUN, SIGNATURE, HISTORY)
    assert files(tmp_path) == []


def test_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "ssl-sweep-selector" / "histories"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache() == tmp_path / ".cache" / "ssl-sweep-selector" / "histories"
