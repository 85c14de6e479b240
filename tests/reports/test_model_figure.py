"""Figures 5 and 6: rows first."""

import pytest
from test_pretrained_tables import study

from selector.errors import UserError
from selector.metrics.metrics import label_free_metric
from selector.paper.model_correlation import ModelRow, Study
from selector.reports.model_figure import ModelPoint, draw_models, model_caption, model_points, short_names

ENTROPY = label_free_metric("entropy")


def test_points_are_models_with_both_values_family_by_family():
    rows = study().rows
    mixed = Study(
        "d", 1, 1, {}, False, (rows[4], *rows[:2], ModelRow("c", "b", "w", 1, {"label_free/entropy": 1.0}))
    )
    points = model_points(mixed, ENTROPY)
    assert [(p.family, p.model) for p in points] == [("b", "b1"), ("a", "a0"), ("a", "a1")]
    assert (points[1].accuracy, points[1].value, points[1].deviation) == (10.0, 1.0, 0.0)


def test_the_accuracys_error_is_that_of_a_share():
    # 0.1 of 100 images: √(0.1 · 0.9 / 100) = 0.03
    assert model_points(study(), ENTROPY)[0].accuracy_error == pytest.approx(3)


def test_the_caption_says_how_many_how_sure_and_what_not_to_conclude():
    text = model_caption(study(), ENTROPY, model_points(study(), ENTROPY))
    assert text.startswith("n = 5 models on cifar10, 100 evaluation images; Pearson's r = 0.90, p = 0.0")
    assert "does not rank the next model" in text
    assert "UNTRAINED" in model_caption(study(untrained=True), ENTROPY, model_points(study(), ENTROPY))


def test_one_family_has_its_own_correlation_in_the_caption():
    one = Study("d", 1, 1, {}, False, study().rows[:4])
    assert "Pearson's r = 0.80" in model_caption(one, ENTROPY, model_points(one, ENTROPY))
    two = Study("d", 1, 1, {}, False, study().rows[:2])
    assert "Pearson" not in model_caption(two, ENTROPY, model_points(two, ENTROPY))


@pytest.mark.parametrize(
    ("family", "models", "names"),
    [
        ("resnet", ["resnet18", "resnet152"], ["18", "152"]),
        ("efficientnet", ["efficientnet_b0"], ["b0"]),
        ("tf_efficientnet_lite", ["tf_efficientnet_lite0"], ["lite0"]),
        ("simclr", ["simclr-0.5/milestone-0010", "wide/milestone-0010"], ["0.5", "wide"]),
        (
            "simclr",
            ["run/milestone-0010", "run/milestone-0020"],
            ["run/milestone-0010", "run/milestone-0020"],
        ),
        ("alexnet", ["alexnet"], ["alexnet"]),
    ],
)
def test_points_are_named_by_what_sets_them_apart(family, models, names):
    points = [ModelPoint(family, model, 1.0, 1.0, 0.0, 0.0) for model in models]
    assert short_names(points) == names


def test_the_picture_holds_the_families_and_the_axes(tmp_path):
    draw_models(study(), ENTROPY, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    for words in ("a (4)", "b (1)", "linear-probe accuracy in %", "entropy in nats", "n = 5 models", "a0"):
        assert words in text, words


def test_nothing_to_draw_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no model has both entropy and a linear probe on cifar10"):
        draw_models(study(accuracies=False), ENTROPY, tmp_path / "a.png")
