import pytest

from selector.sweeping.hyperband import Hyperband, bands, runs_to_stop


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Hyperband(min_iter=3, eta=3), [3, 9, 27, 81]),
        (Hyperband(min_iter=1, eta=2), [1, 2, 4, 8, 16, 32, 64]),
        (Hyperband(min_iter=1, eta=2.5), [1, 2, 6, 15, 39, 97]),  # 1, 2.5, 6.25, 15.6, 39.1, 97.7
        (Hyperband(max_iter=27, s=2, eta=3), [3, 9]),  # W&B's documentation has this example
        (Hyperband(max_iter=27, s=5, eta=3), [1, 3, 9]),
        (Hyperband(max_iter=10, s=2, eta=4), [2]),  # 2.5; 0.6 is no iteration
        (Hyperband(min_iter=1, max_iter=27, s=1, eta=3), [9]),
    ],
)
def test_bands(settings, expected):
    assert bands(settings, longest=100) == expected


# Losses at iterations 1, 2, 3, 4. With eta 2 and min_iter 2 the bands are 2 and 4; the threshold of a band is
# the value at position int(n / 2) of the n sorted losses there.
HISTORIES = {"a": [5.0, 4.0, 3.0, 2.0], "b": [5.0, 6.0, 1.0], "c": [9.0, 7.0], "d": [8.0]}
SETTINGS = Hyperband(min_iter=2, eta=2, strict=True)


def test_decisions_worked_out_by_hand():
    # Band 2: losses 4, 6, 7; threshold 6. b equals it and goes on, c is worse. d has not reached a band.
    stopped = runs_to_stop(HISTORIES, {"a", "b", "c", "d"}, SETTINGS, maximize=False)
    assert list(stopped) == ["c"]
    assert stopped["c"] == "hyperband at iteration 2: value 7 is worse than 6"


def test_only_the_last_band_that_a_run_has_passed_counts():
    # Band 4: losses 2 (a), 9 (e); threshold 9: e goes on although it was the worst at band 2.
    histories = HISTORIES | {"e": [9.0, 9.0, 9.0, 9.0]}
    assert "e" not in runs_to_stop(histories, {"e"}, SETTINGS, maximize=False)
    histories["f"] = [1.0, 1.0, 1.0, 1.0]  # threshold is 2 now, of 1, 2, 9
    assert "e" in runs_to_stop(histories, {"e"}, SETTINGS, maximize=False)


def test_without_strictness_the_best_value_so_far_is_compared():
    # c's best loss 5.5 beats the threshold of band 2, now 6 of 4, 6, 7, although its value there is 7.
    histories = HISTORIES | {"c": [5.5, 7.0]}
    strict = runs_to_stop(histories, {"c"}, SETTINGS, maximize=False)
    loose = runs_to_stop(histories, {"c"}, Hyperband(min_iter=2, eta=2, strict=False), maximize=False)
    assert (list(strict), list(loose)) == (["c"], [])


def test_maximising_is_minimising_the_negative():
    negated = {run: [-value for value in values] for run, values in HISTORIES.items()}
    stopped = runs_to_stop(negated, {"a", "b", "c", "d"}, SETTINGS, maximize=True)
    assert stopped == {"c": "hyperband at iteration 2: value -7 is worse than -6"}


def test_runs_that_have_ended_are_compared_with_but_not_stopped():
    assert runs_to_stop(HISTORIES, {"a"}, SETTINGS, maximize=False) == {}
