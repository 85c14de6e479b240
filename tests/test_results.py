"""docs/results.md and the tables beside the records hold what the records say, byte for byte."""

import importlib
import json
import sys
from pathlib import Path

import pytest
from handmade import ACCURACY, run, sweep

from selector.export_file import write_records
from selector.runs import Milestone

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
STABLE = "label_free/stable_rank"


@pytest.fixture(scope="module", autouse=True)
def benchmarks():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield
    sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def results(benchmarks):
    return importlib.import_module("results")


@pytest.fixture(scope="module")
def pools(benchmarks):
    return importlib.import_module("pools")


@pytest.fixture(scope="module")
def verdict(benchmarks):
    return importlib.import_module("verdict")


@pytest.fixture(scope="module")
def pages(results):
    return results.pages(DOCS)


def test_every_table_is_what_the_records_say(pages):
    assert {path: path.read_text("utf-8") for path in pages} == pages


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1.0, 1.0, 1.0], 2 / 8),  # +++ and ---
        ([3.0, 1.0, -1.0], 6 / 8),  # sums ±5, ±3 twice, ±1; observed 3
        ([0.0, 0.0], 1.0),
        ([], 1.0),
    ],
)
def test_sign_flips_by_hand(verdict, differences, p):
    assert verdict.sign_flip_p(differences) == pytest.approx(p)


def test_the_footnotes_of_table_one_say_what_was_simulated():
    from chance import MILESTONES, coverage, share_of_stars

    from selector.paper.association import COVERAGE
    from selector.paper.table_one import STAR

    least, most = (f"{100 * share_of_stars(n):.0f}" for n in MILESTONES)
    assert f"{least} to {most} % of cases ({MILESTONES[0]} to {MILESTONES[1]} milestones)" in STAR
    # Half of the intervals at 0.2 of the series: at 16 milestones and a memory of 0.8 the fewest hold.
    assert coverage(16, 0.8, 0.6, series=200) == pytest.approx(0.80, abs=0.06)
    assert "80 to 91 %" in COVERAGE


def test_the_consensus_without_half_of_its_losers_by_hand(pools):
    """Places in nesum: d 4, b 3, c 2, a 1; in the others a 4, d 3, b 2, c 1. So d has 10 and a has 9.

    One of the three others goes. Without b or c, both have 7, and a has the smaller learning rate.
    """
    import more_pages

    from selector.selection.consensus import PARTS

    def changes(*columns):
        rows = [(id, 1.0, 1.0, 0.5) for id in "abcd"]
        keys = (part.key for part in PARTS)
        return more_pages.share_of_changes(pool("x", *rows, **dict(zip(keys, columns, strict=True))))

    assert changes((1, 3, 2, 4), (4, 2, 1, 3), (1, 3, 4, 2)) == pytest.approx(2 / 3, abs=0.05)  # idest: low
    assert changes((1, 2, 3, 4), (1, 2, 3, 4), (4, 3, 2, 1)) == 0


def pool(name, *rows, method="simclr", data="digits", default=None, start=None, **columns):
    """Runs (id, rankme, loss, accuracy) of one seed; `columns` are more keys, a value for each run."""
    from pools import Pool

    made = []
    for place, (id, rankme, loss, accuracy) in enumerate(rows):
        values = {"train/loss": loss, **{key: each[place] for key, each in columns.items()}}
        one = run(id, rankme, accuracy, values=values)
        first = () if start is None else (Milestone(0, {ACCURACY.key: start}),)
        made.append(run(id, milestones=(*first, *one.milestones), method=method))
    return Pool(name, method, data, True, sweep(*made), (), default)


def two_pools():
    """One: rankme picks a (0.9, the best), the loss b (0.8). Two: rankme picks b (0.6 of 0.8), the loss a.

    The learning rate nearest to the default is that of b. Only in one, stable_rank chooses c.
    """
    rows = ("a", 3.0, 2.0, 0.9), ("b", 2.0, 1.0, 0.8), ("c", 1.0, 3.0, 0.5)
    one = pool("one", *rows, default={"learning_rate": 0.098}, **{STABLE: (1.0, 2.0, 3.0)})
    rows = ("a", 1.0, 1.0, 0.8), ("b", 2.0, 2.0, 0.6)
    return [one, pool("two", *rows, method="simsiam", default={"learning_rate": 0.1})]


# ρ of the loss: in one, places 2, 3, 1 of -loss against 3, 2, 1, so 1 - 6 (1 + 1) / 24 = 0.5; in two, 1.
BY_HAND = [
    "| *lowest loss* | 2 | 5.0 ± 5.0 | 10.0 | 0.12 ± 0.12 | 0.75 ± 0.25 |  |  |",
    "| `rankme` | 2 | 10.0 ± 10.0 | 20.0 | 0.50 ± 0.50 | 0.00 ± 1.00 | -5.0 ± 15.0 | 1.000 |",
    # 0.9 - 2.2 / 3 = 0.167 of 0.4, and 0.1 of 0.2; less than the loss by -0.067 and -0.1: both signs alike
    "| *random* | 2 | 13.3 ± 3.3 | 16.7 | 0.46 ± 0.04 |  | -8.3 ± 1.7 | 0.500 |",
    "| *default* | 2 | 15.0 ± 5.0 | 20.0 | 0.62 ± 0.38 |  | -10.0 ± 10.0 | 1.000 |",
    "| `stable_rank` | 1 | 40.0 | 40.0 | 1.00 | -1.00 | -30.0 | 1.000 |",
]


def test_means_and_errors_over_sweeps_by_hand(results):
    lines = list(results.verdict_table([one.group for one in two_pools()], full=True))
    assert lines[1:] == BY_HAND
    short = list(results.verdict_table([one.group for one in two_pools()]))
    assert short[1:3] == [
        "| *lowest loss* | 5.0 ± 5.0 | 10.0 | 0.12 | 0.75 |  |  |",
        "| `rankme` | 10.0 ± 10.0 | 20.0 | 0.50 | 0.00 | -5.0 ± 15.0 | 1.000 |",
    ]
    assert "stable_rank" not in "".join(short)  # it could not choose everywhere


def test_each_sweep_by_hand(results):
    lines = list(results.each_sweep_table(two_pools()))
    assert lines[1:3] == [
        "| *lowest loss* | 10.0 / 0.25 / 0.50 | 0.0 / 0.00 / 1.00 |",
        "| `rankme` | 0.0 / 0.00 / 1.00 | 20.0 / 1.00 / -1.00 |",
    ]
    assert lines[-1] == "| `stable_rank` | 40.0 / 1.00 / -1.00 | – |"


def test_runs_below_their_untrained_network_are_left_out(results):
    # c ends at 0.5, below 0.55: without it the worst accuracy is 0.8, so the loss has all of the regret.
    rows = ("a", 3.0, 2.0, 0.9), ("b", 2.0, 1.0, 0.8), ("c", 1.0, 3.0, 0.5)
    one = pool("one", *rows, start=0.55)
    assert len(one.without_ruined.judged) == 2
    (line,) = [line for line in results.verdict_table([one.without_ruined], full=True) if "*lowest" in line]
    assert line == "| *lowest loss* | 1 | 10.0 | 10.0 | 1.00 | -1.00 |  |  |"


def test_the_choice_by_epoch_by_hand(results):
    """rankme takes b at 5 of 10 epochs and a at the end; the loss the other way round. a 0.9, b 0.8."""
    from pools import Pool

    def both(id, first, last, accuracy):
        early = Milestone(5, {"label_free/rankme": first, "train/loss": -first, ACCURACY.key: 0.1})
        late = Milestone(10, {"label_free/rankme": last, "train/loss": last, ACCURACY.key: accuracy})
        return run(id, milestones=(early, late))

    runs = sweep(both("a", 1.0, 2.0, 0.9), both("b", 2.0, 1.0, 0.8))
    lines = list(results.by_share_table([Pool("x", "simclr", "digits", True, runs, ())]))
    assert lines == [
        "| chosen by | 50% (1 of 1) | 100% (1 of 1) |\n|---|---|---|",
        "| `rankme` | 10.0 | 0.0 |",
        "| *lowest loss* | 10.0 | 10.0 |",
    ]


def test_rules_learned_elsewhere_by_hand(results, verdict):
    """a 0.8, b 0.6. rankme picks a but in P2, stable_rank picks b but in P2: elsewhere rankme is better.

    So the best single metric elsewhere, the first by name of equals, costs 0.2 in P2. Ranks of both cancel:
    of equals a is taken.
    """
    places = [("P1", "simclr", "digits"), ("P2", "simclr", "cifar"), ("P3", "simsiam", "digits")]
    made = []
    for name, method, data in [*places, ("P4", "simsiam", "fashion")]:
        up = (1.0, 2.0) if name == "P2" else (2.0, 1.0)
        rows = ("a", up[0], 1.0, 0.8), ("b", up[1], 2.0, 0.6)
        made.append(pool(name, *rows, method=method, data=data, **{STABLE: up[::-1]}))
    for fold in ("name", "method", "data"):
        single = verdict.learned(made, fold, 1)
        assert [cost.regret for cost in single] == pytest.approx([0, 0.2, 0, 0]), fold
        pair = verdict.learned(made, fold, 2)
        assert [cost.regret for cost in pair] == pytest.approx([0, 0, 0, 0])
    assert list(results.learned_table(made))[1:] == [
        "| best single metric elsewhere |" + " 5.0 ± 5.0, worst 20.0 |" * 3,
        "| best pair elsewhere |" + " 0.0 ± 0.0, worst 0.0 |" * 3,
        "| best triple elsewhere |" + " – |" * 3,
    ]


def test_equal_scores_are_broken_without_labels(pools, verdict, monkeypatch):
    """All scores are equal: the smallest learning rate is taken, whatever the ids and the accuracies say."""
    import more_pages

    rows = ("a", 0.3, 0.9), ("b", 0.1, 0.5), ("c", 0.2, 0.7)
    runs = sweep(*(run(id, 1.0, accuracy, learning_rate=rate) for id, rate, accuracy in rows))
    group = pools.judged_group(runs)
    order = pools.tie_order(group.judged)
    assert [one.run.id for one in order] == ["b", "c", "a"]
    (one,) = [one for one in group.metrics if pools.name_of(one) == "rankme"]
    assert one.chosen.id == "b"  # what the product takes
    ranks = verdict.ranks_of(group, order)
    assert verdict.cost_of(ranks, ["rankme"], order) == pytest.approx((0.4, 1.0))
    drawn = {"columns": ["images", "rankme"], "runs": {id: [[45, 1.0]] for id in "abc"}}
    assert list(more_pages.by_draw(drawn, order, one)) == [(45, pytest.approx(0.4))]


def followed(id, loss, scores, accuracies):
    rows = zip(scores, accuracies, strict=True)
    made = [
        Milestone(5 * e, {"label_free/pretext_score": x, "train/loss": loss, ACCURACY.key: y})
        for e, (x, y) in enumerate(rows)
    ]
    return run(id, milestones=tuple(made))


def test_the_aims_and_the_course_of_training_by_hand(results, monkeypatch):
    """Without milestone 0 the score of a goes as 1, 3, 2 against 1, 2, 3: r = 0.5, 2 of 3 pairs in order.

    b follows without a fault: r = 1. With milestone 0, that of a: deviations -1.5, -.5, 1.5, .5 against -1.5,
    -.5, .5, 1.5, so (2.25 + .25 + .75 + .75) / 5 = 0.8. The rule picks a, which is 0.2 worse than b, that
    of the lowest loss.
    """
    from pools import Pool

    runs = sweep(
        followed("a", 1.0, (0.0, 1.0, 3.0, 2.0), (0.0, 0.1, 0.2, 0.3)),
        followed("b", 0.5, (0.0, 0.5, 1.0, 1.5), (0.2, 0.3, 0.4, 0.5)),
    )
    monkeypatch.setattr(results, "PROMISED", 1)
    pool = Pool("x", "simclr", "digits", True, runs, ())
    line = list(results.along_page([pool]))[2]
    assert line == "| SimCLR | `pretext_score` | 2 | 0.90 | 0.75 | 0.83 | 2 of 2 |"
    text = "\n".join(results.protocol_table([pool]))
    for said in (
        "| mean regret, at most 0.5 points | 20.0 | **no** |",
        "| mean ρ, at least 0.85 | -1.000 | **no** |",
        "| worst regret, at most 2 points | 20.0 | **no** |",
        "| less than the lowest loss, at least 2 points | -20.0 | **no** |",
        "| SimCLR: mean r along training without milestone 0, at least 0.9 | 0.750 | **no** |",
        "below that of the lowest loss, by | -20.0 | **no** |",
        "| not a failure: sign-flip p, at most 0.05 | 1.000 | **no** |",
    ):
        assert said in text, said
    assert "Nothing is decided" not in text
    monkeypatch.setattr(results, "PROMISED", 2)
    assert next(results.protocol_table([pool])).startswith("**1 of 2 sweeps so far (SimCLR, digits). Nothing")


def test_the_default_configuration_is_the_middle_of_the_search_space(pools):
    middle = pools.middle_of(ROOT / "sweeps" / "evidence" / "simclr-cifar.yaml")
    found = {
        name: middle[name] for name in ("learning_rate", "weight_decay", "crop_scale_min", "jitter_strength")
    }
    expected = {"learning_rate": 0.1**0.5, "weight_decay": 1e-9**0.5}  # of 0.05 to 2 and 1e-6 to 1e-3
    assert found == pytest.approx({**expected, "crop_scale_min": 0.2, "jitter_strength": 0.5})


SCORES = {"rotation_probe": 0.55, "view_retrieval": 0.5, "hog_probe": 0.3, "accuracy": 0.8}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ((0.55 - 0.25) / 0.75 + 0.5 + 0.3) / 3),
        ({"rotation_probe": 0.29}, (0.5 + 0.3) / 2),  # told apart by nobody
        ({"hog_probe": float("nan")}, ((0.55 - 0.25) / 0.75 + 0.5) / 2),  # the mean of what there is
    ],
)
def test_the_rule_on_runs_that_were_judged_later(pools, changed, expected):
    scores = {"images": 1797, "milestones": [{"epoch": 10, **SCORES, "pooled_probe": 0.4, **changed}]}
    one = pools.with_pretext(run("a", accuracy=0.1), {"a": scores})
    (scored,) = pools.with_pool_score([one])
    assert scored.milestones[0].values["label_free/pretext_score"] == pytest.approx(expected)
    assert scored.milestones[0].values["label_free/pooled_probe"] == 0.4
    assert scored.milestones[0].values[ACCURACY.key] == 0.8  # the protocol's oracle, not the run's own
    assert scored.definition["evaluation_images"] == 1797


def test_a_score_of_fewer_parts_is_said(pools, results):
    runs = [
        run(id, values={f"label_free/{part}": 0.5 for part in parts}, accuracy=0.5)
        for id, parts in (("a", SCORES), ("b", ("view_retrieval", "rotation_probe")))
    ]
    made = pools.Pool("x", "simclr", "digits", True, sweep(*pools.with_pool_score(runs)), ())
    assert pools.partly_scored(made) == ["b"]
    assert "- SimCLR, digits: pretext_score of b is the mean of fewer parts." in results.without_figure(
        [made]
    )


def test_metrics_that_cannot_choose_are_named_with_the_reason(results):
    rows = ("a", 1.0, 1.0, 0.8), ("b", 2.0, 2.0, 0.6)
    byol = pool("x", *rows, method="byol", **{"label_free/entropy": (1.0, 2.0)})
    (line,) = results.without_figure([byol])
    assert line.startswith("- BYOL, digits: entropy cannot choose: no direction is known for this method")


def test_no_sweep_is_judged_by_two_oracles(pools, tmp_path):
    runs = sweep(run("a", 1.0, 0.5), run("b", 2.0, 0.6), run("c", 3.0, state="diverged"))
    (tmp_path / "simclr-cifar.json").write_text(write_records(runs))
    (tmp_path / "simclr-cifar-seeds.json").write_text(write_records(sweep(run("d", 1.0, 0.5, seed=1))))
    (tmp_path / "pretext").mkdir()
    scores = {"images": 100, "milestones": [{"epoch": 10, **SCORES}]}
    judged = tmp_path / "pretext" / "simclr-cifar.json"
    judged.write_text(json.dumps({"a": scores}))
    with pytest.raises(ValueError, match=r"lacks 1 of 2 finished runs \(b, …\)"):
        pools.read_pools(tmp_path)
    judged.write_text(json.dumps({"a": scores, "b": scores}))
    (pool,) = pools.read_pools(tmp_path)
    assert (pool.second, pool.decides, pool.seeds) == (True, True, ())  # further seeds are not scored yet
