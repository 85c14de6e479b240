"""Correlations over models, by family and over all."""

import numpy as np
import pytest
from scipy import stats

from selector.metrics.metrics import label_free_metric
from selector.paper.model_correlation import ModelRow, Study, correlate_models

ENTROPY, ACCURACY = "label_free/entropy", "labelled/linear_probe_accuracy"


def study(families):
    """Family → its models' (entropy, accuracy); None leaves a value out."""
    rows = []
    for family, pairs in families.items():
        for number, pair in enumerate(pairs):
            values = {k: v for k, v in zip((ENTROPY, ACCURACY), pair, strict=True) if v is not None}
            rows.append(ModelRow(f"{family}{number}", family, "made up", 224, values))
    return Study("made", 100, 100, {}, False, tuple(rows))


def by_group(families):
    return {one.group: one for one in correlate_models(study(families)) if one.metric.key == ENTROPY}


def test_each_family_and_all_models_by_hand():
    # a: 1, 3, 2, 4 against 1, 2, 3, 4: r = 0.8 (deviations (-1.5, .5, -.5, 1.5): 4 / 5); b falls in a line.
    found = by_group({"a": [(1, 0.1), (3, 0.2), (2, 0.3), (4, 0.4)], "b": [(9, 0.1), (8, 0.2), (7, 0.3)]})
    assert list(found) == ["a", "b", "overall"]
    assert found["a"].pearson.value == pytest.approx(0.8)
    assert (found["a"].pearson.n, found["b"].pearson.n, found["overall"].pearson.n) == (4, 3, 7)
    assert found["b"].pearson.value == pytest.approx(-1)
    assert found["b"].pearson.p_value == pytest.approx(2 / 6)  # of 3! orders two are in a line
    x, y = [1, 3, 2, 4, 9, 8, 7], [0.1, 0.2, 0.3, 0.4, 0.1, 0.2, 0.3]
    assert found["overall"].pearson.value == pytest.approx(stats.pearsonr(x, y).statistic)
    assert found["overall"].spearman.value == pytest.approx(stats.spearmanr(x, y).statistic)


def test_the_order_of_the_models_does_not_matter():
    pairs = [(1, 0.1), (3, 0.2), (2, 0.3), (4, 0.4)]
    assert by_group({"a": pairs})["a"].pearson.value == pytest.approx(
        by_group({"a": pairs[::-1]})["a"].pearson.value
    )


def test_models_of_one_family_have_no_figure_over_all():
    assert list(by_group({"a": [(1, 0.1), (3, 0.2), (2, 0.3)]})) == ["a"]


NOISY = [(x, x + noise) for x, noise in np.random.default_rng(0).normal(size=(17, 2))]
# Rises over one half of the models and falls over the other: neighbours in the list belong together.
BENT = [(x % 8, (x % 8) * (1 if x < 8 else -1)) for x in range(16)]


@pytest.mark.parametrize("pairs", [NOISY, BENT])
def test_the_interval_resamples_models_one_by_one(pairs):
    expected = stats.bootstrap(
        tuple(zip(*pairs, strict=True)), lambda x, y: stats.pearsonr(x, y).statistic, paired=True,
        vectorized=False, method="percentile", n_resamples=2000, rng=1,
    ).confidence_interval  # fmt: skip
    assert by_group({"a": pairs})["a"].interval == pytest.approx((expected.low, expected.high), abs=0.08)


def test_eight_models_are_needed_for_an_interval():
    assert by_group({"a": NOISY[:8]})["a"].interval is not None
    assert by_group({"a": NOISY[:7]})["a"].interval is None


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([(1, 0.1), (2, 0.2)], "2 models with both values, 3 are needed"),
        ([(1, 0.1), (2, 0.2), (3, None)], "2 models with both values, 3 are needed"),
        ([(1, 0.1), (2, 0.2), (float("nan"), 0.3)], "2 models with both values, 3 are needed"),
        ([(5, 0.1), (5, 0.2), (5, 0.3)], "entropy the same for all 3 models"),
        ([(1, 0.5), (2, 0.5), (3, 0.5)], "linear_probe_accuracy the same for all 3 models"),
        ([(1, 0.5)], "1 model with both values, 3 are needed"),
    ],
)
def test_an_undefined_figure_says_why(pairs, reason):
    one = by_group({"a": pairs})["a"]
    assert (one.pearson.value, one.spearman.value, one.interval, one.reason) == (None, None, None, reason)


def test_without_accuracies_there_is_nothing_to_correlate():
    assert correlate_models(study({"a": [(1, None), (2, None), (3, None)]})) == []


def test_the_metrics_are_those_of_the_table_that_a_model_has():
    assert study({"a": [(1, 0.1)]}).metrics[0] == label_free_metric("entropy")
    assert [metric.key for metric in study({"a": [(1, 0.1)]}).metrics] == [ENTROPY, ACCURACY]
