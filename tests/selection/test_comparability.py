from dataclasses import replace

import numpy as np
import pytest
from handmade import ACCURACY, DEFINITION, ENTROPY, RANKME, run

from selector.errors import UserError
from selector.metrics import CONFIG_FIELDS, METRICS, Embeddings, Inputs, MetricSettings, label_free_metric
from selector.selection.comparability import (
    _SEPARATING,
    _SPECIFIC,
    canonical,
    check_definitions,
    configuration,
    hyperparameters,
    is_finite_number,
    pools,
    smallest_first,
)


def ids(found):
    return [[run.id for run in pool.runs] for pool in found]


@pytest.mark.parametrize("field", ["method", "dataset", "backbone", "backbone_width"])
def test_what_the_config_separates(field):
    runs = [run("a"), run("b", **{field: "other"}), run("c")]
    assert sorted(ids(pools(runs, [RANKME]))) == [["a", "c"], ["b"]]
    assert ids(pools(runs, [RANKME], allow_mixed=True)) == [["a", "b", "c"]]


@pytest.mark.parametrize(
    ("metric", "field", "separated"),
    [
        (RANKME, "projector_dim", True),
        (RANKME, "rankme_images", True),
        (RANKME, "evaluation_images", False),
        (ENTROPY, "backbone_dim", True),
        (ENTROPY, "evaluation_images", True),
        (ENTROPY, "projector_dim", False),
    ],
)
def test_what_the_definition_separates(metric, field, separated):
    runs = [run("a"), run("b", definition={**DEFINITION, field: 7})]
    assert len(pools(runs, [metric])) == (2 if separated else 1)


def test_any_other_difference_of_the_definition_is_refused():
    runs = [run("a"), run("b", definition={**DEFINITION, "entropy_bin_width": 0.8})]
    with pytest.raises(UserError, match=r"entropy_bin_width is 0.8 in run b and null in run a"):
        check_definitions(runs, ENTROPY)
    assert len(pools(runs, [ENTROPY], allow_mixed=True)) == 1


CLUSTERED = {"silhouette", "silhouette_umap", "clustering_agreement", "ami_labels"}


@pytest.mark.parametrize(
    ("field", "concerned"),
    [
        ("version", {metric.name for metric in METRICS}),
        ("evaluation_split", {metric.name for metric in METRICS}),
        ("rankme_eps", {"rankme", "rankme_backbone"}),
        ("rankme_split", {"rankme", "uniformity", "channel_std", "collapse_level"}),
        ("umap_neighbors", {"outlier_share", "entropy", "entropy_robust", *CLUSTERED}),
        ("entropy_bin_width", {"entropy", "entropy_robust"}),
        ("kmeans_restarts", CLUSTERED),
        ("clusters", CLUSTERED),
        ("probe", {"linear_probe_accuracy"}),
        ("knn_temperature", {"knn_accuracy"}),
        ("alpha_req_last", {"alpha_req_score"}),
        ("uniformity_t", {"uniformity"}),
        ("pairwise_max_images", {"uniformity", "cluster_learnability", "clid", "idest"}),
        ("clid_clusters", {"cluster_learnability", "clid"}),
        ("twonn_discard", {"clid"}),
        ("idest_seed", {"idest"}),
        ("lidar_delta", {"lidar"}),
        ("view_source", {"lidar", "alignment"}),
        ("spectrum_points", set()),
        ("projector_dim", set()),  # separates instead
    ],
)
def test_what_part_of_the_definition_concerns_which_metric(field, concerned):
    runs = [run("a", definition={**DEFINITION, field: 1}), run("b", definition={**DEFINITION, field: 2})]
    refused = set()
    for metric in METRICS:
        try:
            check_definitions(runs, metric)
        except UserError:
            refused.add(metric.name)
    assert refused == concerned


def test_every_field_of_our_definition_is_known_to_concern_something():
    inputs = Inputs(Embeddings(np.eye(5, 3, dtype=np.float32), None, "backbone", ""), None, MetricSettings(2))
    names = {*inputs.definition, "umap_engine"}
    assert names | CONFIG_FIELDS >= _SEPARATING | _SPECIFIC
    assert names - _SEPARATING - _SPECIFIC == {"evaluation_split", "dtype", "version"}


def test_settings_of_views_do_not_keep_runs_from_being_compared_by_rankme():
    runs = [run("a", definition={**DEFINITION, "lidar_images": 1000}), run("b", definition=DEFINITION)]
    assert len(pools(runs, [RANKME])) == 1
    assert len(pools(runs, [label_free_metric("lidar")])) == 2
    weaker = [run("a", jitter_strength=0.5), run("b", jitter_strength=0.1)]
    assert len(pools(weaker, [RANKME])) == 1
    found = pools(weaker, [label_free_metric("alignment")])
    assert sorted(pool.group["jitter_strength"] for pool in found) == [0.1, 0.5]
    alike = [run("a", jitter_strength=0.5), run("b", jitter_strength=0.5)]
    (pool,) = pools(alike, [label_free_metric("alignment")])
    assert "jitter_strength" not in pool.group


def test_what_judges_separates_too():
    runs = [run("a"), run("b", definition={**DEFINITION, "evaluation_images": 7})]
    assert len(pools(runs, [RANKME])) == 1
    assert len(pools(runs, [RANKME, ACCURACY])) == 2
    with pytest.raises(UserError, match=r"linear_probe_accuracy was not computed the same way"):
        pools([run("a"), run("b", definition={**DEFINITION, "probe": "fast"})], [RANKME, ACCURACY])


# --- configurations


def test_what_says_only_where_a_run_ran_is_no_hyperparameter():
    here = run("a", data_dir="/x", device="cpu", threads=2, output_dir="o", resume=True, keep="all")
    assert hyperparameters(here) == hyperparameters(run("b", learning_rate=here.config["learning_rate"]))
    folder = run("a", dataset="folder", data_dir="/x")
    assert hyperparameters(folder)["data_dir"] == "/x"  # here it says which images


def test_configurations_are_equal_but_for_the_seed():
    one, other = run("a", learning_rate=0.1, seed=1), run("b", learning_rate=0.1, seed=2)
    assert configuration(one) == configuration(other)
    assert configuration(one) != configuration(run("c", learning_rate=0.2, seed=1))


def test_smallest_first_orders_none_numbers_and_text():
    values = ["b", None, 2, 0.5, "a", float("nan"), [1], True]
    runs = [replace(run("a"), config={"x": value}) for value in values]
    ordered = sorted(runs, key=lambda r: smallest_first(r, ["x"]))
    assert [r.config["x"] for r in ordered][:4] == [None, 0.5, True, 2]


def test_canonical_text_does_not_depend_on_how_a_value_was_written():
    assert canonical({"b": 1.0, "a": (1, 2)}) == canonical({"a": [1.0, 2], "b": 1})
    assert canonical(1) != canonical("1")
    assert canonical(True) != canonical(1)


def test_an_integer_beyond_every_float_is_a_value_like_any_other():
    runs = [run("a", n=10**400), run("b", n=2), run("c", n=2.5)]
    assert sorted(runs, key=lambda one: smallest_first(one, ["n"])) == [runs[1], runs[2], runs[0]]
    assert not is_finite_number(10**400)
    assert not is_finite_number(float("nan"))
    assert not is_finite_number(True)
    assert is_finite_number(-1)
