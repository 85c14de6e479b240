import numpy as np
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from selector.metrics.arrays import Embeddings, one_thread
from selector.metrics.inputs import Inputs, MetricSettings
from selector.metrics.pretext import Answers, Questions
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


def pretext_figures(threads, questions=None, answers=None):
    """Every figure of the pretext criteria; BLAS and torch may use so many threads."""
    backbone = Embeddings(np.eye(8, dtype=np.float32), None, "backbone", "test")
    inputs = Inputs(backbone, None, MetricSettings(clusters=2), questions=questions)
    if answers is not None:
        vars(inputs)["answers"] = answers
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            found = inputs.hog_r2, inputs.pretext, inputs.rotation_accuracy, inputs.retrieval
            return *found, *inputs.pretext_resamples
    finally:
        torch.set_num_threads(before)


def test_pretext_criteria_do_not_depend_on_the_threads():
    rng = np.random.default_rng(0)
    x, turned = (rng.standard_normal(shape, dtype=np.float32) for shape in ((2000, 64), (500, 4, 64)))
    gradients = rng.random((2000, 32))
    questions = Questions(turned, turned, x, x + 1, x, x, (gradients, gradients))
    assert pretext_figures(1, questions) == pretext_figures(2, questions)


def test_nor_do_their_scores_of_many_images():
    # OpenBLAS shares a sum of more than 10,000 products among its threads.
    rng = np.random.default_rng(0)
    answers = Answers(
        rng.random(30_000), rng.random(30_000), rng.random((30_000, 4)), rng.random((30_000, 4))
    )
    assert pretext_figures(1, answers=answers) == pretext_figures(2, answers=answers)
