"""Sums of batches, in one process and in two, against what the rows in memory give."""

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing

from selector.metrics.spectral import alpha_req, nesum, participation_ratio, rankme, stable_rank
from selector.metrics.spectrum import Spectrum, SpectrumSums

sys.path.append(str(Path(__file__).parent))
from test_spectrum import by_numpy


def healthy(count: int = 3000, dimension: int = 128) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((count, dimension)) * np.arange(1, dimension + 1) ** -0.5 + 0.7).astype(
        np.float32
    )


def streamed(embeddings: np.ndarray, cuts: list[int]) -> Spectrum:
    sums = SpectrumSums()
    for batch in np.split(embeddings, cuts):
        sums.add(batch)
    return sums.spectrum()


def test_batches_give_the_singular_values_of_all_rows():
    embeddings = healthy()
    uncentred, centred = by_numpy(embeddings)
    spectrum = streamed(embeddings, [1, 700, 701, 2500])
    assert (spectrum.count, spectrum.dimension) == (3000, 128)
    assert spectrum.uncentred == pytest.approx(uncentred, rel=1e-10)
    assert spectrum.centred == pytest.approx(centred, rel=1e-10)


@pytest.mark.parametrize("metric", [rankme, alpha_req, nesum, participation_ratio, stable_rank])
def test_every_spectral_metric_reads_it(metric):
    embeddings = healthy()
    assert metric(streamed(embeddings, [100, 2000])) == pytest.approx(metric(embeddings), rel=1e-9)


def test_far_from_the_origin_the_centred_spectrum_keeps_its_digits():
    rng = np.random.default_rng(1)
    embeddings = rng.standard_normal((900, 16)) + 1e6
    centred = by_numpy(embeddings)[1]
    assert streamed(embeddings, [10, 500]).centred == pytest.approx(centred, rel=1e-8)


def test_a_collapsed_encoder_has_nearly_its_rankme():
    # 8 directions in 512 dimensions, float32: what a Gram matrix cannot resolve is at most 1e-4 of RankMe.
    rng = np.random.default_rng(2)
    embeddings = (rng.standard_normal((2000, 8)) @ rng.standard_normal((8, 512))).astype(np.float32)
    spectrum = streamed(embeddings, [300, 1500])
    assert rankme(spectrum) == pytest.approx(rankme(embeddings), rel=1e-4)
    assert np.count_nonzero(spectrum.centred) == 8


def test_a_stream_takes_the_memory_of_a_batch_however_long_it_is():
    def peak(batches: int) -> int:
        rng, sums = np.random.default_rng(0), SpectrumSums()
        tracemalloc.start()
        for _ in range(batches):
            sums.add(rng.standard_normal((500, 64)))  # 250 KiB, and numpy's memory is traced
        rankme(sums.spectrum())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(100) < peak(3) + 50_000


def test_says_what_it_refuses():
    sums = SpectrumSums()
    with pytest.raises(ValueError, match="no embeddings"):
        sums.spectrum()
    sums.add(np.ones((3, 4)))
    with pytest.raises(ValueError, match="expected 4-d embeddings as before, got 5-d"):
        sums.add(np.ones((3, 5)))
    with pytest.raises(ValueError, match="finite"):
        sums.add(np.full((3, 4), np.nan))


def one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    uneven, all_in_one = SpectrumSums(), SpectrumSums()
    uneven.add(healthy()[:400] if rank == 0 else healthy()[400:])
    if rank == 1:
        all_in_one.add(healthy())
    for name, sums in (("uneven", uneven), ("all in one", all_in_one)):
        sums.reduce()
        spectrum = sums.spectrum()
        np.savez(
            Path(folder, f"{name} {rank}.npz"),
            uncentred=spectrum.uncentred,
            centred=spectrum.centred,
            count=sums.count,
        )


def test_two_processes_have_the_spectrum_of_one(tmp_path: Path):
    torch.multiprocessing.start_processes(one_of_two, (str(tmp_path),), nprocs=2, start_method="spawn")
    one = Spectrum(healthy())
    for name in ("uneven", "all in one"):
        for rank in (0, 1):
            found = np.load(tmp_path / f"{name} {rank}.npz")
            assert found["count"] == 3000
            assert found["uncentred"] == pytest.approx(one.uncentred, rel=1e-10)
            assert found["centred"] == pytest.approx(one.centred, rel=1e-10)
