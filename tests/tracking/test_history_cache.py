import math
import sqlite3
from pathlib import Path

import pytest

from selector.runs import Milestone
from selector.tracking.history_cache import HistoryCache, Milestones, user_cache

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


def stored(folder: Path, history: Milestones = HISTORY) -> HistoryCache:
    """A cache that another process would have left."""
    cache = HistoryCache(folder)
    cache.store(RUN, SIGNATURE, history)
    cache.close()
    return HistoryCache(folder)


def change(file: Path, statement: str) -> None:
    """As something else than a selector may change a cache."""
    with sqlite3.connect(file) as database:
        database.execute(statement)
    database.close()


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
    assert stored(tmp_path, history).load(RUN, SIGNATURE) == history


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
    stored(tmp_path / "cache")
    (file,) = files(tmp_path)
    assert file.parent == tmp_path / "cache"
    assert "x1" not in file.name
    assert (file.stat().st_mode | file.parent.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize("damage", [b"", b"not SQLite" * 99, "cut", "head", "table"])
def test_a_damaged_file_counts_for_nothing(tmp_path: Path, damage: bytes | str):
    stored(tmp_path)
    (file,) = files(tmp_path)
    if damage == "head":
        change(file, "UPDATE histories SET head = 'no JSON'")
    elif damage == "table":
        file.write_bytes(file.read_bytes().replace(b"TABLE", b"TA\xc2LE"))
    else:
        file.write_bytes(damage if isinstance(damage, bytes) else file.read_bytes()[:5000])
    assert HistoryCache(tmp_path).load(RUN, SIGNATURE) is None
    assert stored(tmp_path).load(RUN, SIGNATURE) == HISTORY


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param("substr(numbers, 1, 8)", id="cut short"),
        pytest.param("substr(numbers, 33)", id="without a checksum, as an older selector left it"),
    ],
)
def test_a_changed_table_counts_for_nothing(tmp_path: Path, numbers: str):
    cache = stored(tmp_path)
    (file,) = files(tmp_path)
    change(file, f"UPDATE histories SET numbers = {numbers}")
    assert cache.load(RUN, SIGNATURE) is None


def test_a_flipped_bit_counts_for_nothing(tmp_path: Path):
    stored(tmp_path)
    (file,) = files(tmp_path)
    sound = file.read_bytes()
    head = sound.index(b'{"signature"')  # from here to the end of the page
    found = []
    for position in range(head, -(-head // 4096) * 4096):
        content = bytearray(sound)
        content[position] ^= 1 << position % 8
        file.write_bytes(content)
        cache = HistoryCache(tmp_path)
        found.append(cache.load(RUN, SIGNATURE))
        cache.close()
    assert len(found) > 250
    assert found == [None] * len(found)


def test_a_row_under_another_name_counts_for_nothing(tmp_path: Path):
    cache = stored(tmp_path)
    (file,) = files(tmp_path)
    change(file, "UPDATE histories SET run = 'x2'")
    assert cache.load([*RUN[:3], "x2"], SIGNATURE) is None


def test_two_selectors_may_write_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("selector.tracking.history_cache._LOCKED_SECONDS", 0.05)
    first, second = HistoryCache(tmp_path), HistoryCache(tmp_path)
    first.store(RUN, SIGNATURE, HISTORY)
    second.store([*RUN[:3], "x2"], SIGNATURE, HISTORY)  # waits in vain, and keeps nothing
    first.close()
    second.store([*RUN[:3], "x3"], SIGNATURE, HISTORY)
    second.close()
    kept = [HistoryCache(tmp_path).load([*RUN[:3], run], SIGNATURE) for run in (RUN[3], "x2", "x3")]
    assert kept == [HISTORY, None, HISTORY]


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    cache = HistoryCache(tmp_path / "file")
    cache.store(RUN, SIGNATURE, HISTORY)
    assert cache.load(RUN, SIGNATURE) is None


def test_without_a_folder_nothing_is_kept():
    cache = HistoryCache(None)
    cache.store(RUN, SIGNATURE, HISTORY)
    assert cache.load(RUN, SIGNATURE) is None


def test_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "ssl-sweep-selector" / "histories"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache() == tmp_path / ".cache" / "ssl-sweep-selector" / "histories"
