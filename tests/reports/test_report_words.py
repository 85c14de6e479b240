"""What a report says in words."""

from dataclasses import replace

import pytest
from handmade import ACCURACY, RANKME, run, sweep

from selector.commands.arguments import Choice, Runs
from selector.reports.html import page_of
from selector.reports.report import report_of
from selector.reports.report_words import lead, next_steps, notes, threats, tiles, why


def report_on(*runs, **more):
    return report_of(sweep(*runs, **more), RANKME, ACCURACY)


def words(report):
    (group,) = report.groups
    return " ".join(
        [why(group, report.ranking), lead(report), *notes(group)]
        + [f"{tile.value} {tile.name} {tile.note}" for tile in tiles(group)]
        + [f"{step.text} {step.command}" for step in next_steps(group, report)]
    )


def test_regret_and_chance_are_in_points():
    text = words(report_on(run("a", 3.0, 0.80), run("b", 2.0, 0.90), run("c", 1.0, 0.70)))
    assert "10.0 points selection regret 95 % interval among these checkpoints: " in text
    assert "10.0 points expected regret of a random choice over 3 configurations" in text  # (10 + 0 + 20) / 3
    assert "Highest rankme of 3 runs: 3.000 at epoch 10." in text
    assert "Find out what other seeds would change" in text


def test_the_command_trains_the_seeds_that_are_missing():
    seeds = [
        run(f"{id}{n}", s, a, learning_rate=s, seed=n)
        for id, s, a in (("a", 3.0, 0.8), ("b", 2.0, 0.9))
        for n in (0, 1)
    ]
    report = report_on(*seeds)
    (step,) = [s for s in next_steps(report.groups[0], report) if "other seeds" in s.text]
    assert step.text.endswith("2 have 2 seeds: train a0 again with --seed 2, and b0 again with --seed 2.")
    first, second = step.command.splitlines()
    assert first.startswith("for seed in 2; do python train.py --method=simclr")
    assert first.endswith(" --seed=$seed; done")
    assert first.count("--seed=") == second.count("--seed=") == 1
    assert "--learning-rate=3.0" in first
    assert "--learning-rate=2.0" in second


def test_a_pick_that_labels_did_not_judge_has_no_accuracy_of_its_own():
    report = report_on(run("a", 3.0), run("b", 2.0, 0.70), run("c", 1.0, 0.90))
    text = words(report)
    assert "0.7000 linear_probe_accuracy of the best-ranked run that labels judged" in text
    assert "selection regret of the best-ranked run that labels judged" in text
    assert "of the pick" not in text
    assert page_of(report)


def test_what_else_than_source_and_metric_made_the_choice_is_in_the_command():
    options = Choice("10", "min", allow_mixed=True).options(Runs(("sweep/",), "a tag", "it's"))
    report = replace(report_on(run("a", 3.0), run("b", 2.0)), options=options)
    (group,) = report.groups
    settings, encoder = [s for s in next_steps(group, report) if s.command.startswith("selector best")]
    command = (
        "selector best sweep/ --metric rankme --milestone=10 --direction=min '--tag=a tag'"
        """ '--group=it'"'"'s' --allow-mixed"""
    )
    assert (settings.command, encoder.command) == (
        f"{command} --output best.yaml",
        f"{command} --export best",
    )
    assert Choice().options(Runs(("sweep/",))) == ()


def test_no_interval_where_nobody_knows_how_many_images_judged():
    text = words(report_on(run("a", 3.0, 0.8, definition={}), run("b", 2.0, 0.9, definition={})))
    assert "10.0 points selection regret no interval: how many images judged the runs is not known" in text


def test_without_labels_no_word_of_regret_as_a_figure():
    text = words(report_on(run("a", 3.0), run("b", 2.0)))
    assert "No label was read" in text
    assert "selection regret" not in text
    assert "Label a few hundred images" in text


def test_an_unfinished_sweep_says_how_to_finish():
    text = words(report_on(run("a", 3.0), run("b", 2.0), planned=5, finish_command="selector sweep x.yaml"))
    assert "selector sweep x.yaml" in text


def test_the_command_quotes_its_sources():
    report = replace(report_on(run("a", 3.0), run("b", 2.0)), sources=("my runs; rm -rf x", "b"))
    step, _ = [s for s in next_steps(report.groups[0], report) if s.command.startswith("selector best")]
    assert step.command == "selector best 'my runs; rm -rf x' b --metric rankme --output best.yaml"


def threats_on(*runs, **more):
    report = report_on(*runs, **more)
    return list(threats(report.groups[0], report))


@pytest.mark.parametrize(
    ("runs", "more", "said"),
    [
        ([run("a", 30.0), run("b", 20.0)], {}, None),
        (
            [
                run("a", 30.0, values={"label_free/stable_rank": 1.0}),
                run("b", 20.0, values={"label_free/stable_rank": 2.0}),
            ],
            {},
            "1 of 1 other recommended metrics would pick another configuration: stable_rank would pick b.",
        ),
        ([run("a", 1.0), run("b", 0.9)], {}, "The pick's training: Collapsed since epoch 10, by rankme"),
        ([run("a", 30.0)], {}, "Only this run can be ranked"),
        ([run("a", 30.0), run("b", 30.0)], {}, "rankme is 30.00 in all runs"),
        ([run("a", 30.0), run("b", 30.0), run("c", 10.0)], {}, "2 of 3 are tied: rankme cannot say"),
        ([run("a", 30.0), run("b", 20.0)], {"planned": 5}, "3 of 5 runs are not in this ranking."),
    ],
)
def test_only_what_threatens_the_pick_stands_above_it(runs, more, said):
    found = threats_on(*runs, **more)
    assert (found == []) if said is None else found[0].startswith(said)
