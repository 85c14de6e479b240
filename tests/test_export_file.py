"""Runs kept in one file come back as they were."""

import os
from dataclasses import replace
from math import inf, isnan, nan
from pathlib import Path

import pytest
from handmade import RANKME, curve, run, sweep, write_sweep

from selector.cli import main
from selector.errors import UserError
from selector.export_file import read_records, write_records
from selector.runs import Last, Milestone, Unreadable, read_source
from selector.selection.ranking import rank

RUNS = sweep(
    run("a", milestones=curve((0, 1.0), (5, 2.123456789), accuracy=0.5), temperature=0.1, name="<b>first"),
    run("b", milestones=curve((5, 3.0)), temperature=0.1, note=None, nested={"x": [1, 2.5, True]}),
    run(
        "c",
        milestones=(Milestone(1, {"loss": nan, "other": -inf}),),
        state="diverged",
        detail="loss became nan",
    ),
    replace(run("e", 1.0), versions="torch 9.8.7"),
    replace(run("f", 1.0, definition={}), last={"acc": Last(0.5, 3), "loss": Last(nan, 4, "min")}),
    planned=4,
    unreadable=(Unreadable("d", "cut off"),),
)


def back(tmp_path, runs=RUNS, **options):
    path = tmp_path / "runs.json"
    path.write_text(write_records(runs, **options), encoding="utf-8")
    return read_records(path)


def test_runs_come_back_as_they_were(tmp_path):
    found = back(tmp_path, digits=17)
    assert found.planned == 4
    assert found.unreadable == RUNS.unreadable
    for kept, original in zip(found.runs, RUNS.runs, strict=True):
        assert replace(kept, milestones=(), last={}) == replace(original, milestones=(), last={})
    assert found.runs[4].last["acc"] == Last(0.5, 3)
    assert (isnan(found.runs[4].last["loss"].value), found.runs[4].last["loss"].source) == (True, "min")
    assert found.runs[:2] == RUNS.runs[:2]
    values = found.runs[2].milestones[0].values
    assert isnan(values["loss"])
    assert values["other"] == -inf


def test_numbers_are_kept_to_seven_digits(tmp_path):
    assert back(tmp_path).runs[0].milestones[1].values["label_free/rankme"] == 2.123457


def test_the_same_runs_give_the_same_text(tmp_path):
    assert write_records(RUNS) == write_records(back(tmp_path))


def test_places_on_the_machine_are_left_out():
    text = write_records(sweep(run("a", 1.0, output_dir="/home/me", data_dir="/data/me")))
    assert "/home/me" not in text
    assert "/data/me" not in text
    assert "/data/me" in write_records(sweep(run("a", 1.0, dataset="folder", data_dir="/data/me")))


def test_a_file_of_records_is_a_source(tmp_path, capsys):
    write_sweep(tmp_path / "sweep", run("a", 3.0, 0.7), run("b", 9.0, 0.8))
    path = tmp_path / "kept.json"
    assert main(["export", str(tmp_path / "sweep"), "--output", str(path)]) == 0
    assert "2 runs in" in capsys.readouterr().out
    of_folder = rank(read_source(str(tmp_path / "sweep")), RANKME)
    of_file = rank(read_source(str(path)), RANKME)
    assert [r.run.id for r in of_file.groups[0].ranking] == ["b", "a"]
    assert [r.score for r in of_file.groups[0].ranking] == [r.score for r in of_folder.groups[0].ranking]


HEAD = '{"format":1,"planned":null,"keys":["x"],"unreadable":[],"config":{},"definition":{},"runs":['
RUN = '{"id":"a","state":"finished","config":{},"definition":{},"milestones":[%s]}]}'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "it is not JSON"),
        ("[]", "is not a file of `selector export`"),
        ('{"format": 99}', "is not a file of `selector export`"),
        ('{"format": 1}', "are damaged"),
        (HEAD + RUN % "[1,2,3]", "another length"),
        (HEAD + RUN % '[1,"x"]', "are damaged"),
        ("[" * 100_000, "it is not JSON"),
        (HEAD + RUN % "[1.5,2]", "whole numbers in ascending order"),
        (HEAD + RUN % "[-1,2]", "whole numbers in ascending order"),
        (HEAD + RUN % "[1,2],[1,3]", "whole numbers in ascending order"),
        (HEAD + RUN % "[5,2],[1,3]", "whole numbers in ascending order"),
        (HEAD + RUN % "[1,true]", "a truth value"),
        (HEAD + (RUN % "[1,2]").replace('"id"', '"last":{"a":[1,2]},"id"'), "a last value"),
        (HEAD + RUN % f"[1,1{'0' * 400}]", "are damaged"),
        (HEAD + RUN % "[]", "are damaged"),
        (HEAD + (RUN % "[1,2]").replace('"finished"', '"finishd"'), "state is 'finishd'"),
        (HEAD + (RUN % "[1,2]").replace('"id":"a"', '"id":7'), "id is 7"),
        (HEAD + (RUN % "[1,2]").replace('"id":"a"', '"id":""'), "without an id"),
        (HEAD + (RUN % "[1,2]").replace('"id":"a"', '"id":"a","name":[]'), "name is"),
        (HEAD + (RUN % "[1,2]").replace('"id":"a"', '"id":"a","tags":[1]'), "tags is"),
        (HEAD + (RUN % "[1,2]").replace('"id":"a"', '"id":"a","started":"x"'), "started is"),
        (HEAD + (RUN % "[1,2]").replace("]}]}", "]}," + (RUN % "[1,2]")[:-2] + "]}"), "two runs of one id"),
        (HEAD.replace('"planned":null', '"planned":"9"') + RUN % "[1,2]", "a plan that is not a number"),
        (HEAD.replace('["x"]', '["x","x"]') + RUN % "[1,2,3]", "different texts"),
        (HEAD.replace('["x"]', "[3]") + RUN % "[1,2]", "different texts"),
        (HEAD + RUN % f"[{10**300},2]", "whole numbers in ascending order"),
        (HEAD.replace('"config":{}', '"config":1') + RUN % "[1,2]", "config is 1"),
        (HEAD.replace('"config":{}', '"config":1') + RUN.replace("{}", "2", 1) % "[1,2]", "config is 1"),
        (HEAD + RUN.replace('"config":{}', '"config":2') % "[1,2]", "config is 2"),
        (HEAD + RUN.replace('"definition":{}', '"definition":[]') % "[1,2]", r"definition is \[\]"),
        (HEAD + RUN.replace("{}", '{"x":' + "[" * 600 + "]" * 600 + "}", 1) % "[1,2]", "nested too deeply"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, text, says):
    path = tmp_path / "runs.json"
    path.write_text(text)
    with pytest.raises(UserError, match=says):
        read_records(path)


def test_what_no_run_can_hold_is_not_known(tmp_path):
    path = tmp_path / "runs.json"
    for started in ("Infinity", "-Infinity", "NaN", "1" + "0" * 400):
        path.write_text(HEAD + RUN.replace('"id":"a"', f'"id":"a","started":{started}') % "[1,-1.7e308]")
        runs = read_records(path)
        assert runs.runs[0].started is None
        assert runs.runs[0].milestones == (Milestone(1, {"x": -inf}),)
        write_records(runs)


def test_a_named_pipe_is_not_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "runs.json")
    assert main(["rank", str(tmp_path / "runs.json")]) == 1
    assert "it is not a regular file" in capsys.readouterr().err


EVIDENCE = sorted((Path(__file__).parents[1] / "docs" / "evidence").glob("*.json"))


@pytest.mark.parametrize("file", EVIDENCE, ids=lambda file: file.stem)
def test_exports_of_the_evidence_are_read_and_ranked_whatever_version_wrote_them(file):
    runs = read_source(str(file))
    assert runs.runs
    assert not runs.unreadable
    assert all(run.definition for run in runs.runs)
    assert all(run.trained_milestones for run in runs.runs if run.state != "diverged")
    found = rank(runs, RANKME, by="run")
    assert found.coverage.ranked == len([run for run in runs.runs if run.state == "finished"])
