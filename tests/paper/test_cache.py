"""What is kept on disk of embeddings."""

import json
import stat

import numpy as np
import pytest
import torch

from selector.paper.cache import EmbeddingCache, digest_of, user_cache

BLOCK = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_what_is_stored_is_loaded_under_its_key_alone(tmp_path):
    cache = EmbeddingCache(tmp_path / "cache")
    assert cache.load_block("net", {"a": 1}) is None
    cache.store_block("net", {"a": 1, "b": 2}, BLOCK)
    assert np.array_equal(cache.load_block("net", {"b": 2, "a": 1}), BLOCK)
    assert cache.load_block("net", {"a": 1, "b": 3}) is None
    cache.store_row({"a": 1}, {"entropy": 1.5, "condition_number": float("inf"), "rankme": float("nan")})
    row = cache.load_row({"a": 1})
    assert row["entropy"] == 1.5
    assert row["condition_number"] == float("inf")
    assert np.isnan(row["rankme"])
    assert cache.load_row({"a": 2}) is None


def test_nobody_else_can_read_it(tmp_path):
    cache = EmbeddingCache(tmp_path / "cache")
    cache.store_block("net", {"a": 1}, BLOCK)
    cache.store_row({"a": 1}, {})
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "cache").rglob("*")}
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert modes == {True: 0o700, False: 0o600}


@pytest.mark.parametrize("damage", [b"", b"not numpy", None])
def test_a_damaged_file_counts_as_none(tmp_path, damage):
    cache = EmbeddingCache(tmp_path)
    cache.store_block("net", {"a": 1}, BLOCK)
    cache.store_row({"a": 1}, {"x": 1.0})
    for file in (*tmp_path.glob("net/*"), *tmp_path.glob("rows/*")):
        file.write_bytes(file.read_bytes()[:-5] if damage is None else damage)
    assert cache.load_block("net", {"a": 1}) is None
    assert cache.load_row({"a": 1}) is None


@pytest.mark.parametrize("kind", ["net", "rows"])
def test_a_flipped_bit_counts_as_none(tmp_path, kind):
    cache = EmbeddingCache(tmp_path)
    cache.store_block("net", {"a": 1}, BLOCK)
    cache.store_row({"a": 1}, {"x": 1.25, "y": float("nan")})
    (file,) = tmp_path.glob(f"{kind}/*")
    sound, believed = file.read_bytes(), []
    for bit in range(8 * len(sound)):
        content = bytearray(sound)
        content[bit // 8] ^= 1 << bit % 8
        file.write_bytes(content)
        found = cache.load_block("net", {"a": 1}) if kind == "net" else cache.load_row({"a": 1})
        if kind == "net" and found is not None:
            believed.append(bit)
        if kind == "rows" and found is not None and repr(found) != repr({"x": 1.25, "y": float("nan")}):
            believed.append(bit)
    assert believed == []


@pytest.mark.parametrize("save", [np.save, np.savez])
def test_another_file_in_its_place_counts_as_none(tmp_path, save):
    """One without a checksum, as an older selector left it, or of another kind."""
    cache = EmbeddingCache(tmp_path)
    cache.store_block("net", {"a": 1}, BLOCK)
    (file,) = tmp_path.glob("net/*")
    with file.open("wb") as opened:
        save(opened, BLOCK)
    assert cache.load_block("net", {"a": 1}) is None


def test_the_content_of_another_key_counts_as_none(tmp_path):
    cache = EmbeddingCache(tmp_path)
    for number in (1, 2):
        cache.store_block("net", {"a": number}, BLOCK * number)
        cache.store_row({"a": number}, {"x": number})
    for kind in ("net", "rows"):
        one, two = tmp_path.glob(f"{kind}/*")
        one.write_bytes(two.read_bytes())
    assert [cache.load_block("net", {"a": number}) is None for number in (1, 2)].count(True) == 1
    assert [cache.load_row({"a": number}) is None for number in (1, 2)].count(True) == 1


def test_an_array_of_objects_is_not_unpickled(tmp_path):
    cache = EmbeddingCache(tmp_path)
    cache.store_block("net", {"a": 1}, BLOCK)
    (file,) = tmp_path.glob("net/*")
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert cache.load_block("net", {"a": 1}) is None


def test_a_failed_write_leaves_nothing_half_written(tmp_path, monkeypatch):
    cache = EmbeddingCache(tmp_path)
    cache.store_block("net", {"a": 1}, BLOCK)

    def full(file, array, allow_pickle):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "save", full)
    cache.store_block("net", {"a": 1}, BLOCK + 1)
    monkeypatch.undo()
    assert np.array_equal(cache.load_block("net", {"a": 1}), BLOCK)
    assert len(list(tmp_path.glob("net/*"))) == len(list(tmp_path.glob("net/.*"))) + 1 == 1


def test_dropping_a_group_leaves_the_others(tmp_path):
    cache = EmbeddingCache(tmp_path)
    for group in ("net", "augmented-net"):
        cache.store_block(group, {}, BLOCK)
    cache.drop("augmented-net")
    cache.drop("never-there")
    assert (cache.load_block("net", {}) is None, cache.load_block("augmented-net", {}) is None) == (
        False,
        True,
    )


def test_the_digest_sees_values_order_shape_and_type():
    pixels = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 2, 2)
    others = [pixels.flip(0), pixels.reshape(2, 3, 4, 1), pixels.long(), pixels + 1]
    assert digest_of(pixels) == digest_of(pixels.clone())
    assert len({digest_of(pixels), *map(digest_of, others)}) == 5


def test_the_users_cache_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "ssl-sweep-selector" / "embeddings"


def test_a_row_tells_what_it_was_computed_from(tmp_path):
    EmbeddingCache(tmp_path).store_row({"model": "net"}, {"x": 1.0})
    (file,) = tmp_path.glob("rows/*.json")
    assert json.loads(file.read_text())["key"] == {"model": "net"}
