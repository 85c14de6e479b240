import shlex
from dataclasses import asdict, replace

import pytest
import yaml
from handmade import RANKME, run, sweep

from selector.command_line import parse_config
from selector.config import TrainConfig, paper_recipe
from selector.errors import UserError
from selector.metrics import label_free_metric
from selector.reports.best import (
    at_best_milestone,
    best_object,
    best_yaml,
    checkpoint_line,
    command_line,
    find_checkpoint,
    repeated,
)
from selector.reports.opinions import Opinions
from selector.runs import Milestone
from selector.selection.consensus import CONSENSUS
from selector.selection.ranking import Ranked, RankedGroup, rank


def trained(config: TrainConfig, **more):
    return replace(run("win", 9.0), config={**asdict(config), "sweep_note": "x"}, **more)


@pytest.mark.parametrize(
    "config",
    [
        paper_recipe("simsiam"),
        replace(
            paper_recipe("simclr"),
            temperature=0.07,
            epochs=30,
            labels=False,
            clusters=7,
            dataset="folder",
            data_dir="/my images/a;b",
        ),
        replace(paper_recipe("moco_v2"), queue_size=64, backbone="resnet-9", backbone_width=0.25, seed=3),
    ],
)
def test_the_command_line_repeats_the_run(config):
    words = shlex.split(command_line(trained(replace(config, output_dir="/gone", resume=True))))
    assert words[:2] == ["python", "train.py"]
    assert parse_config(words[2:]) == config


def test_the_command_line_leaves_out_what_the_recipe_says():
    assert command_line(trained(replace(paper_recipe("simclr"), epochs=30))) == (
        "python train.py --method=simclr --dataset=digits --epochs=30"
    )


def test_somebody_elses_run_keeps_its_configuration_and_has_no_command():
    stranger = replace(run("x", 1.0, definition={}), config={"lr": 1, "method": "simclr"})
    assert repeated(stranger) == {"lr": 1, "method": "simclr"}
    assert command_line(stranger) == ""


def test_the_software_that_made_the_run_is_named():
    ranking = rank(sweep(trained(paper_recipe("simclr"), versions="torch 9.8.7")), RANKME)
    asked = ranking.groups[0], RANKME, Opinions()
    assert "# made by: torch 9.8.7\n" in best_yaml(*asked)
    assert best_object(*asked)["versions"] == "torch 9.8.7"


def test_the_yaml_is_safe_and_says_where_it_is_from():
    evil = trained(paper_recipe("simclr"), name="a\nmethod: evil\x1b[31m", checkpoint="/c\nmethod: evil")
    ranking = rank(sweep(evil, run("b", 9.0)), RANKME)
    text = best_yaml(ranking.groups[0], RANKME, Opinions())
    assert yaml.safe_load(text) == repeated(evil) or yaml.safe_load(text)["method"] == "simclr"
    assert "\x1b" not in text
    assert text.splitlines()[0].startswith("# run ")
    assert sum(line.startswith("method:") for line in text.splitlines()) == 1


def test_the_checkpoint_of_a_sweep_folder_that_was_moved(tmp_path):
    moved = tmp_path / "runs" / "a" / "epoch_10.ckpt"
    moved.parent.mkdir(parents=True)
    moved.touch()
    directory = tmp_path / "wandb" / "offline-run-1-a"
    directory.mkdir(parents=True)
    one = replace(run("a", 1.0), checkpoint="/old/place/runs/a/epoch_10.ckpt", directory=str(directory))
    assert find_checkpoint(one) == moved
    gone = replace(one, checkpoint="/old/place/epoch_20.ckpt")
    assert str(find_checkpoint(gone)) == "/old/place/epoch_20.ckpt"
    for found, there in ((gone, False), (one, True)):
        (group,) = rank(sweep(found), RANKME).groups
        assert best_object(group, RANKME, Opinions())["checkpoint_exists"] == there
        assert checkpoint_line(found).endswith("(not found on this machine)") != there


def test_a_run_id_is_never_a_path(tmp_path):
    secret = tmp_path / "secret" / "epoch_10.ckpt"
    secret.parent.mkdir()
    secret.touch()
    directory = tmp_path / "sweep" / "wandb"
    directory.mkdir(parents=True)
    (tmp_path / "sweep" / "runs").mkdir()
    evil = replace(run("../../secret", 1.0), checkpoint="/old/epoch_10.ckpt", directory=str(directory))
    assert str(find_checkpoint(evil)) == "/old/epoch_10.ckpt"


@pytest.mark.parametrize(
    ("metric", "kept", "chosen"),
    [
        ("rankme", (5, 10, 15), 10),  # the highest one
        ("rankme", (5, 15), 15),  # whose checkpoint was not kept: the highest of the others
        ("alignment", (5, 10, 15), 15),  # lower is better, and 5 is equal: the later one
        ("consensus", (5, 10, 15), 5),  # by the pretext score, for it needs the other runs
        ("rankme", (15,), None),
        ("lidar", (5, 10, 15), None),
    ],
)
def test_any_checkpoint_is_that_of_the_milestone_the_metric_places_highest(tmp_path, metric, kept, chosen):
    names = ("rankme", "alignment", "pretext_score")
    figures = {5: (3.0, 0.1, 0.9), 10: (9.0, 0.2, 0.3), 15: (4.0, 0.1, 0.4)}
    rows = [
        Milestone(epoch, {f"label_free/{name}": value for name, value in zip(names, values, strict=True)})
        for epoch, values in figures.items()
    ]
    for epoch in kept:
        (tmp_path / f"milestone-{epoch:04d}.ckpt").touch()
    one = replace(run("a", milestones=tuple(rows)), checkpoint=str(tmp_path / "milestone-0015.ckpt"))
    by = CONSENSUS if metric == "consensus" else label_free_metric(metric)
    group = RankedGroup({}, by.direction, (Ranked(one, 15, 1.0, rank=1, tied=False),), ())
    if chosen is None:
        with pytest.raises(UserError, match=r"kept \d checkpoints of milestones with a .*--keep all"):
            at_best_milestone(group, by)
    else:
        assert find_checkpoint(at_best_milestone(group, by).chosen).stem == f"milestone-{chosen:04d}"
