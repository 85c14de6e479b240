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
    threads = torch.get_num_threads()
    with ThreadpoolController().limit(limits=1):
        # torch's own MKL is linked into it, where threadpoolctl does not find it.
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
