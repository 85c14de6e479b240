import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from selector.evaluation.threads import one_thread


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
