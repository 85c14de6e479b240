from math import inf, nan, sqrt

import pytest
from handmade import ACCURACY, DEFINITION, curve, run

from selector.metrics import declared_labelled, labelled_metric
from selector.milestone import CORRECT_PREFIX, Milestone, correct_text
from selector.selection.oracle import difference_error, read_oracle

KEY = CORRECT_PREFIX + ACCURACY.name


def test_the_last_milestone_counts_not_the_best():
    rows = curve((5, 0.9), (10, 0.7), key=ACCURACY.key)
    (judged,), without = read_oracle([run("a", milestones=rows)], ACCURACY)
    assert (judged.accuracy, without) == (0.7, [])


def test_what_is_missing_or_not_finite_is_not_judged():
    runs = [
        run("a"),
        run("b", accuracy=nan),
        run("c", accuracy=inf),
        run("d", milestones=()),
        run("e", accuracy=0.5),
    ]
    judged, without = read_oracle(runs, ACCURACY)
    assert [one.run.id for one in judged] == ["e"]
    assert [one.id for one in without] == ["a", "b", "c", "d"]


def test_the_standard_error_is_binomial():
    # 0.8 of 400 images: √(0.8 · 0.2 / 400) = 0.02
    (judged,), _ = read_oracle([run("a", accuracy=0.8)], ACCURACY)
    assert judged.standard_error == pytest.approx(0.02)
    assert read_oracle([run("a", accuracy=1.0)], ACCURACY)[0][0].standard_error == 0


def test_the_standard_error_is_unknown_for_what_is_no_share_of_known_images():
    ami = labelled_metric("ami_labels")
    assert read_oracle([run("a", values={ami.key: 0.5})], ami)[0][0].standard_error is None
    assert read_oracle([run("a", accuracy=80.0)], ACCURACY)[0][0].standard_error is None
    unknown = {name: value for name, value in DEFINITION.items() if name != "evaluation_images"}
    assert read_oracle([run("a", accuracy=0.8, definition=unknown)], ACCURACY)[0][0].standard_error is None
    for images in (10**400, inf, nan, "400", True):
        strange = run("a", accuracy=0.8, definition={**DEFINITION, "evaluation_images": images})
        assert read_oracle([strange], ACCURACY)[0][0].standard_error is None


def test_errors_are_paired_where_it_is_known_which_images_were_right():
    # Of 400 images both got the same 300 right, a 20 more, b 10 others: differences +1 20 times, -1 10 times.
    # Variance (30 - 400 · 0.025²) / 399 = 0.07456; √(0.07456 / 400) = 0.01365. Unpaired: about 0.029.
    right = {"a": [1] * 320 + [0] * 80, "b": [1] * 300 + [0] * 20 + [1] * 10 + [0] * 70}
    runs = [
        run(id, milestones=(Milestone(9, {ACCURACY.key: sum(bits) / 400}, texts={KEY: correct_text(bits)}),))
        for id, bits in right.items()
    ]
    (a, b), _ = read_oracle(runs, ACCURACY)
    assert difference_error(a, b) == pytest.approx(0.01365, abs=1e-5)
    (a, c), _ = read_oracle([runs[0], run("c", accuracy=0.775)], ACCURACY)
    assert difference_error(a, c) == pytest.approx((0.8 * 0.2 / 400 + 0.775 * 0.225 / 400) ** 0.5)


def test_quality_is_turned_where_low_is_better():
    loss = declared_labelled("x/loss", "min")
    assert read_oracle([run("a", values={"x/loss": sqrt(2)})], loss)[0][0].quality == -sqrt(2)
