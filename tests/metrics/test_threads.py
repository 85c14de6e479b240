import numpy as np
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from selector.metrics.arrays import one_thread
from selector.metrics.spectrum import eigenvalues_of


def thread_counts():
    return [pool["num_threads"] for pool in threadpool_info()]


def test_one_thread_holds_every_library_to_one_and_lets_go():
    np.eye(2) @ np.eye(2)  # BLAS is loaded
    with threadpool_limits(2):
        before = thread_counts()
        assert 2 in before
        with one_thread():
            assert set(thread_counts()) == {1}
        assert thread_counts() == before


def test_torchs_own_threads_are_held_too_and_eigenvalues_do_not_depend_on_them():
    gram = np.random.default_rng(0).standard_normal((384, 384))
    found, before = [], torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == threads
        found.append(eigenvalues_of(torch.from_numpy(gram @ gram.T)).tolist())
    torch.set_num_threads(before)
    assert found[0] == found[1]
