"""UMAP points that a run leaves beside its checkpoints, and what else may lie there."""

import tracemalloc

import numpy as np
import pytest

from selector.metrics.arrays import Embeddings
from selector.tracking.umap_files import MOST_BYTES, MOST_POINTS, read_umap_files, write_umap

rng = np.random.default_rng(0)


def images(count, labelled=True):
    labels = np.arange(count) % 10 if labelled else None
    return Embeddings(rng.standard_normal((count, 4)).astype(np.float32), labels, "backbone", "test")


def test_points_come_back_by_epoch(tmp_path):
    points = rng.standard_normal((50, 3)).astype(np.float32)
    write_umap(tmp_path, 10, points, images(50))
    write_umap(tmp_path, 2, points + 1, images(50, labelled=False))
    first, second = read_umap_files(tmp_path)
    assert (first.epoch, second.epoch) == (2, 10)
    np.testing.assert_array_equal(second.points, points)
    np.testing.assert_array_equal(second.labels, np.arange(50) % 10)
    assert first.labels is None
    assert not list(tmp_path.glob("*.partial"))


def test_of_many_images_the_same_thousand_are_kept(tmp_path):
    points = np.arange(3 * 5000, dtype=np.float32).reshape(5000, 3)
    write_umap(tmp_path, 0, points, images(5000))
    (kept,) = read_umap_files(tmp_path)
    assert len(kept.points) == MOST_POINTS
    assert kept.points[0, 0] == 0
    assert kept.points[-1, -1] == points[-1, -1]
    np.testing.assert_array_equal(kept.labels, (kept.points[:, 0] / 3) % 10)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive"])
def test_damaged_files_are_passed_over(tmp_path, content):
    write_umap(tmp_path, 1, rng.standard_normal((9, 3)).astype(np.float32), images(9))
    (tmp_path / "umap-0002.npz").write_bytes(content)
    whole = (tmp_path / "umap-0001.npz").read_bytes()
    (tmp_path / "umap-0003.npz").write_bytes(whole[: len(whole) // 2])
    assert [found.epoch for found in read_umap_files(tmp_path)] == [1]


def test_foreign_arrays_are_passed_over(tmp_path):
    np.savez(tmp_path / "umap-0001.npz", points=np.zeros((5, 2)))
    np.savez(tmp_path / "umap-0002.npz", points=np.full((5, 3), np.nan))
    np.savez(tmp_path / "umap-0003.npz", other=np.zeros((5, 3)))
    np.savez(tmp_path / "umap-0004.npz", points=np.zeros((5, 3)), labels=np.zeros(4))
    np.savez(tmp_path / "umap-0005.npz", points=np.zeros((200_000, 3)))  # larger than any of ours
    assert read_umap_files(tmp_path) == []


def test_a_pickle_in_a_file_is_not_executed(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    np.savez(tmp_path / "umap-0001.npz", points=np.array([Payload()], dtype=object))
    assert read_umap_files(tmp_path) == []
    assert not (tmp_path / "written").exists()


def test_a_few_packed_bytes_do_not_fill_the_memory(tmp_path):
    np.savez_compressed(tmp_path / "umap-0001.npz", points=np.zeros((10_000_000, 3), np.float32))  # 120 MB
    assert (tmp_path / "umap-0001.npz").stat().st_size < MOST_BYTES
    tracemalloc.start()
    assert read_umap_files(tmp_path) == []
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_whatever_its_readers_meet_in_damaged_bytes(tmp_path):
    points = rng.standard_normal((9, 3)).astype(np.float32)
    sound = write_umap(tmp_path, 1, points, images(9)).read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(300):
        content = bytearray(sound)
        for position in generator.integers(0, len(content), generator.integers(1, 4)):
            content[position] = generator.integers(256)
        (tmp_path / "umap-0001.npz").write_bytes(content)
        for found in read_umap_files(tmp_path):
            np.testing.assert_array_equal(found.points, points)
