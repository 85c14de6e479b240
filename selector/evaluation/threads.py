"""One thread for what would otherwise depend on the number of threads, or be slowed by them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


@contextmanager
def one_thread() -> Iterator[None]:
    """Holds BLAS and OpenMP to one thread while it is open.

    Sums are then added in one order, so that the last digit, and with it everything that a stochastic
    layout or a k-means assignment makes of it, does not depend on the number of threads. It is also quicker
    where it is used: steps of a few microseconds cost more to share among threads than to do, many times
    more when another run occupies the cores.
    """
    with ThreadpoolController().limit(limits=1):
        yield


@contextmanager
def torch_threads_kept() -> Iterator[None]:
    """Gives torch back the number of threads that it had, whatever is run while it is open.

    numba's OpenMP layer, which umap-learn runs on, sets the number of threads of the library that torch
    shares with it. Training would go on after a milestone with other last digits than if it were resumed.
    """
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
