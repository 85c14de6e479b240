"""What is kept on disk of embeddings."""

import os
import stat

from selector.paper.cache import Cache

KEY = {"model": "net", "images": "0123"}


def test_what_is_stored_is_loaded_under_its_key_alone(tmp_path):
    cache = Cache(tmp_path / "cache")
    assert cache.load("net", KEY) is None
    cache.store("net", KEY, b"content")
    assert cache.load("net", dict(reversed(KEY.items()))) == b"content"
    assert cache.load("net", KEY | {"images": "4567"}) is None
    assert cache.load("other", KEY) is None


def test_nobody_else_can_read_it(tmp_path):
    Cache(tmp_path / "cache").store("net", KEY, b"content")
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "cache").rglob("*")}
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert modes == {True: 0o700, False: 0o600}


def test_any_damage_counts_as_none(tmp_path):
    cache = Cache(tmp_path)
    cache.store("net", KEY, b"content")
    (file,) = tmp_path.glob("net/*")
    sound = file.read_bytes()
    flipped = [
        sound[:byte] + bytes([sound[byte] ^ 1 << bit]) + sound[byte + 1 :]
        for byte in range(len(sound))
        for bit in range(8)
    ]
    for damaged in (b"", b"content", sound[:-5], sound + b"x", *flipped):
        file.write_bytes(damaged)
        assert cache.load("net", KEY) is None
    file.write_bytes(sound)
    assert cache.load("net", KEY) == b"content"


def test_a_failed_write_leaves_the_old_file_and_nothing_half_written(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    cache.store("net", KEY, b"old")

    def full(_, __):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    cache.store("net", KEY, b"new")
    assert cache.load("net", KEY) == b"old"
    assert len(list((tmp_path / "net").iterdir())) == 1
