"""The command `selector` on folders of offline runs: what it prints, where, and with which exit status."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from math import nan
from pathlib import Path

import pytest
import yaml
from console import call
from handmade import DEFINITION, run, write_sweep

from selector.export_file import write_records
from selector.runs import Milestone, RunSet

# Accuracies of runs in the order of rankme: c is chosen, b is best.
ROWS = (("a", 10.0, 0.2), ("b", 20.0, 0.9), ("c", 40.0, 0.7))


def trained(id, rankme, accuracy, **more):
    rows = [
        Milestone(0, {"label_free/rankme": 99.0, "labelled/linear_probe_accuracy": 0.1}),
        Milestone(5, {"label_free/rankme": -rankme, "labelled/linear_probe_accuracy": accuracy / 2}),
        Milestone(
            10,
            {
                "label_free/rankme": rankme,
                "label_free/entropy": 10 - rankme / 10,
                "labelled/linear_probe_accuracy": accuracy,
                "train/loss": accuracy,
                "other/score": -rankme,
            },
        ),
    ]
    return run(id, milestones=tuple(rows), **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_sweep(tmp_path / "sweep", *(trained(*row) for row in ROWS))


def parsed(capsys, *arguments):
    status, out, err = call(capsys, *arguments)
    assert status == 0, err
    return json.loads(out)


def test_rank_as_json_prints_one_object_and_nothing_else(capsys, folder):
    found = parsed(capsys, "rank", folder, "--json")
    assert (found["metric"], found["direction"], found["milestone"]) == ("rankme", "max", "last")
    assert [place["run"] for place in found["groups"][0]["ranking"]] == ["c", "b", "a"]
    earlier = parsed(capsys, "rank", folder, "--milestone", "5", "--json")
    assert [place["run"] for place in earlier["groups"][0]["ranking"]] == ["a", "b", "c"]
    assert earlier["milestone"] == 5


def test_several_sources_are_one_sweep(capsys, folder, tmp_path):
    other = write_sweep(tmp_path / "other", trained("d", 80.0, 0.8))
    found = parsed(capsys, "rank", folder, other, "--json")
    assert [place["run"] for place in found["groups"][0]["ranking"]] == ["d", "c", "b", "a"]
    judged = parsed(capsys, "regret", folder, other, "--metric", "rankme", "--json")
    assert judged["groups"][0]["metrics"][0]["regret"] == pytest.approx(0.1)
    status, out, err = call(capsys, "rank", folder, folder)
    assert (status, out) == (1, "")
    assert err == f"selector: run a is in both {folder} and {folder}: name only one of them\n"
    assert call(capsys, "watch", folder, other)[::2] == (
        1,
        "selector: this command reads one SOURCE, got 2: run it once for each\n",
    )


@pytest.mark.parametrize("option", ["project", "sweep_id"])
def test_a_folder_of_several_projects_and_sweeps(capsys, tmp_path, option):
    flag = f"--{option.removesuffix('_id')}"
    runs = RunSet("x", tuple(replace(trained(*row), **{option: row[0]}) for row in ROWS))
    (tmp_path / "runs.json").write_text(write_records(runs))
    found = parsed(capsys, "rank", tmp_path / "runs.json", flag, "b", "--json")
    assert [place["run"] for place in found["groups"][0]["ranking"]] == ["b"]


def test_warnings_go_to_stderr(capsys, tmp_path):
    folder = write_sweep(tmp_path, trained("a", 5.0, 0.5))
    status, out, err = call(capsys, "rank", folder, "--json")
    assert (status, json.loads(out)["groups"][0]["chosen"]) == (0, "a")
    assert err == (
        "selector: warning: 0 of 1 runs have pretext_score, and 0 of 1 runs have nesum, channel_std, idest,"
        " which make the consensus: the choice is by rankme instead\n"
        "selector: warning: only run a can be ranked, so it is chosen\n"
    )


def test_somebody_elses_key_needs_a_direction(capsys, folder):
    found = parsed(capsys, "rank", folder, "--metric", "other/score", "--direction", "min", "--json")
    assert (found["metric"], found["groups"][0]["chosen"]) == ("other/score", "c")
    status, _, err = call(capsys, "rank", folder, "--metric", "other/score")
    assert status == 2
    assert "'other/score'" in err
    assert "--direction max or min" in err


def test_somebody_elses_runs_with_keys_without_a_slash(capsys, tmp_path):
    strangers = [
        replace(
            run(id, milestones=(Milestone(1, {"val_acc": a, "score": s}),), definition={}), config={"lr": s}
        )
        for id, a, s in (("a", 0.5, 1.0), ("b", 0.9, 2.0), ("c", 0.7, 3.0))
    ]
    write_sweep(tmp_path, *strangers)
    asked = ("regret", tmp_path, "--metric", "score", "--direction=max", "--oracle", "val_acc", "--json")
    found = parsed(capsys, *asked)
    metric = found["groups"][0]["metrics"][0]
    assert (metric["metric"], metric["chosen"], metric["best"]) == ("score", "c", "b")
    assert metric["regret"] == pytest.approx(0.2)
    worst = parsed(capsys, *asked, "--oracle-direction=min")
    assert worst["groups"][0]["best"] == "a"


@pytest.mark.parametrize(
    "name", ["linear_probe_accuracy", "labelled/linear_probe_accuracy", "labelled/x", "ami_labels"]
)
def test_rank_refuses_labels(capsys, folder, name):
    status, out, err = call(capsys, "rank", folder, "--metric", name, "--direction", "max")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "reads labels, and choosing must not" in err


def test_regret(capsys, folder):
    found = parsed(capsys, "regret", folder, "--json")
    assert found["oracle"] == "linear_probe_accuracy"
    metrics = {m["metric"]: m for group in found["groups"] for m in group["metrics"]}
    assert set(metrics) == {"rankme", "entropy"}  # all of ours that the runs hold
    assert metrics["rankme"]["regret"] == pytest.approx(0.2)
    baselines = {b["baseline"]: b for b in found["groups"][0]["baselines"]}
    assert (baselines["lowest_loss"]["run"], baselines["last"]["run"]) == ("a", "c")
    one = parsed(capsys, "regret", folder, "--metric", "rankme", "--default-run", "b", "--json")
    baselines = {b["baseline"]: b for b in one["groups"][0]["baselines"]}
    assert baselines["default"]["run"] == "b"
    status, out, _ = call(capsys, "regret", folder, "--metric", "rankme", "entropy")
    assert status == 0
    assert "random (expected)" in out
    status, _, err = call(capsys, "regret", folder, "--default-run", "zzz")
    assert (status, err) == (1, f"selector: {folder} holds no run 'zzz'\n")


def test_best_prints_yaml(capsys, folder):
    status, out, err = call(capsys, "best", folder, "--metric", "rankme")
    assert (status, err) == (0, "")
    assert yaml.safe_load(out)["method"] == "simclr"
    assert out.startswith(
        "# run c (c): highest rankme, 40, of 3 runs\n# repeat it: python train.py --method=simclr"
    )


def test_best_writes_yaml(capsys, folder, tmp_path):
    output = tmp_path / "best.yaml"
    status, out, _ = call(capsys, "best", folder, "--output", output)
    assert status == 0
    assert yaml.safe_load(output.read_text())["temperature"] == 0.5
    assert out.splitlines()[0] == f"best: c, written to {output}"
    assert out.splitlines()[1].startswith("repeat it: python train.py ")
    assert out.splitlines()[2] == "checkpoint: none was logged"
    found = parsed(capsys, "best", folder, "--output", output, "--json")
    assert (found["best"][0]["run"], found["output"]) == ("c", str(output))
    status, _, err = call(
        capsys, "best", folder, "--metric=rankme", "--output", tmp_path / "no" / "best.yaml"
    )
    assert (status, err) == (
        1,
        f"selector: cannot write {tmp_path}/no/best.yaml: No such file or directory\n",
    )


def test_best_of_several_groups(capsys, tmp_path):
    folder = write_sweep(
        tmp_path / "s",
        trained("a", 1.0, 0.5),
        trained("b", 2.0, 0.6, definition={**DEFINITION, "projector_dim": 9}),
    )
    _, out, _ = call(capsys, "best", folder)
    assert len(list(yaml.safe_load_all(out))) == 2
    status, _, err = call(capsys, "best", folder, "--output", tmp_path / "best.yaml")
    assert status == 1
    assert "2 groups of runs cannot be compared by rankme" in err.splitlines()[-1]
    assert not (tmp_path / "best.yaml").exists()


def test_the_table_of_metrics(capsys):
    status, out, _ = call(capsys, "metrics")
    assert status == 0
    assert "rankme" in out
    table = parsed(capsys, "metrics", "--json")["metrics"]
    directions = {row["name"]: (row["direction"], row["direction_for"]) for row in table}
    assert directions["rankme"] == directions["linear_probe_accuracy"] == ("max", {})
    assert directions["entropy"] == (None, {"simclr": "min", "moco_v2": "min", "simsiam": "max"})
    assert {row["name"]: row["labels"] for row in table}["rankme"] is False


def test_the_page_of_metrics_is_up_to_date(capsys):
    _, page, _ = call(capsys, "metrics", "--markdown")
    written = Path(__file__).parents[1] / "docs" / "metrics.md"
    assert page == written.read_text("utf-8"), "selector metrics --markdown > docs/metrics.md"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rank"], "SOURCE is missing"),
        (["rnak", "x"], "unknown command 'rnak', did you mean 'rank'?"),
        (["rank", "x", "--metric", "rankm"], "unknown metric 'rankm', did you mean 'rankme'?"),
        (
            ["rank", "x", "--metric", "label_free/rankm", "--direction", "max"],
            "unknown metric 'label_free/rankm'",
        ),
        (["rank", "x", "--milestone", "soon"], "--milestone must be last or an epoch, got 'soon'"),
        (["rank", "x", "--milestone=--5"], "--milestone must be last or an epoch, got '--5'"),
        (["stop-losers", "x", "--metric", "consensus"], "the consensus is a run's place among the others"),
        (["figures", "x", "--metric", "consensus"], "or one of the metrics in it, nesum, channel_std"),
        (["correlate", "x", "--metric", "label_free/consensus"], "not a score of its own"),
        (["rank", "x", "--direction", "up"], "--direction cannot be 'up'"),
        (["regret", "x", "--oracle", "labelled/knn"], "unknown labelled metric 'labelled/knn'"),
        (["regret", "x", "--metric", "nonsense"], "unknown metric 'nonsense'"),
        (["sweep"], "FILE is missing"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(capsys, arguments, said):
    status, out, err = call(capsys, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_what_cannot_be_met_is_one_line_and_exit_1(capsys, tmp_path, folder):
    bad = write_sweep(tmp_path / "bad", trained("a", nan, 0.5), run("b", 1.0, state="failed"))
    for arguments, said in (
        (["rank", tmp_path / "gone"], "there is no folder"),
        (
            ["rank", folder, "--metric", "rankm", "--direction", "max"],
            "rankm at their last milestone, did you mean 'rankme'?",
        ),
        (
            ["regret", folder, "--oracle", "knn_acuracy"],
            "has a finite knn_acuracy, did you mean 'knn_accuracy'?",
        ),
        (["rank", bad], "no run in"),
        (["rank", folder, "--milestone", "7"], "milestone 7 is not among (5, 10)"),
        (["rank", folder, "--milestone", "0"], "milestone 0 is the untrained network"),
        (["regret", bad, "--oracle", "knn_accuracy"], "has a finite labelled/knn_accuracy"),
    ):
        status, out, err = call(capsys, *arguments)
        assert (status, out, err.count("\n")) == (1, "", 1), arguments
        assert said in err


def selector(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "selector.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        **more,
    )


@pytest.mark.parametrize(("words", "shown"), [(["--help"], "stop-losers"), (["rank", "--help"], "--metric")])
def test_help_loads_nothing_heavy(words, shown):
    script = f"""
import sys
from selector.cli import main
try:
    main({words})
except SystemExit as stop:
    assert stop.code == 0
heavy = set("numpy scipy pandas sklearn numba umap torch lightly wandb optuna plotly".split())
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert process.returncode == 0, process.stderr
    assert shown in process.stdout


def test_a_whole_call_in_a_terminal_without_unicode(folder):
    process = selector("rank", folder, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert process.returncode == 0, process.stderr
    assert "Chosen: c" in process.stdout


def in_bash(command):
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("form", ["--json", ""])
@pytest.mark.parametrize("end", ["| (exec <&-; sleep 0.1)", ">&-"])
def test_a_reader_that_has_seen_enough_or_is_none_is_no_error(folder, form, end):
    process = in_bash(f"{sys.executable} -m selector.cli rank {folder} --metric rankme {form} {end}")
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
@pytest.mark.parametrize("form", ["--json", ""])
def test_a_full_disk_for_the_result_is_one_line(folder, form):
    process = in_bash(f"{sys.executable} -m selector.cli rank {folder} --metric rankme {form} >/dev/full")
    expected = "selector: cannot write the result: No space left on device; make room and try again\n"
    assert (process.returncode, process.stderr) == (1, expected)


def test_sweep_runs_a_file_and_says_where(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.py").write_text("import sys; print(sys.argv)")
    file = tmp_path / "grid.yaml"
    file.write_text("program: program.py\nmethod: grid\nparameters:\n  x:\n    values: [1, 2]\n")
    status, out, err = call(capsys, "sweep", file, "--directory", tmp_path / "my sweep")
    assert (status, out) == (
        0,
        f"2 runs done, 0 failed in {tmp_path}/my sweep\nnext: selector rank '{tmp_path}/my sweep'\n",
    )
    assert "started: x=1" in err
    assert (tmp_path / "my sweep" / "sweep.yaml").exists()
    again, out, _ = call(
        capsys, "sweep", tmp_path / "my sweep" / "sweep.yaml"
    )  # the folder is where the file lies
    assert (again, out.startswith("2 runs done, 0 failed")) == (0, True)


def in_a_terminal(*arguments, **variables):
    """What a terminal of 80 columns is sent, and the exit status; stdout and stderr are the same."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "selector.cli", *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": "xterm-256color", **variables},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return shown.decode(), process.wait(60)


def test_steps_and_bars_are_for_terminals_that_want_them(folder, tmp_path):
    page = tmp_path / "page.html"
    shown, status = in_a_terminal("report", folder, "--output", page)
    assert status == 0
    assert "[2/3] 3 runs: ranking" in shown
    assert "\x1b[2K" in shown  # the line is erased
    assert shown.rstrip().splitlines()[-1].endswith("open it in a browser")
    quiet, status = in_a_terminal("report", folder, "--output", page, "--quiet")
    assert (status, "\x1b" in quiet, "[2/3]" in quiet) == (0, False, False)
    elsewhere = selector("report", folder, "--output", page)
    assert "\x1b" not in elsewhere.stdout + elsewhere.stderr


def test_colours_are_for_terminals_that_want_them(folder):
    coloured, status = in_a_terminal("regret", folder, "--quiet")
    assert (status, "\x1b[1m" in coloured) == (0, True)  # the heads of columns
    plain, status = in_a_terminal("regret", folder, "--quiet", NO_COLOR="1", TERM="dumb")
    assert (status, "\x1b" in plain) == (0, False)
    for arguments in (["regret", folder], ["regret", "--help"]):
        colours = r"\x1b\[[0-9;]*(3[0-7]|9[0-7])[0-9;]*m"
        assert not re.search(colours, in_a_terminal(*arguments, NO_COLOR="1")[0])
    for text in (coloured, plain):
        lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
        assert max(len(line) for line in lines if not line.startswith("selector: warning:")) <= 80


def test_the_demo_ranks_its_sweep_judges_the_choice_and_writes_a_page(tmp_path, capsys, monkeypatch):
    def trained(file, directory, **options):
        assert "digits" in file.read_text("utf-8")
        write_sweep(directory, run("aa", 2.0, 0.7), run("bb", 1.0, 0.9))

    monkeypatch.setattr("selector.sweeping.agent.run_sweep", trained)
    status, out, _ = call(capsys, "demo", "--directory", tmp_path / "demo")
    assert status == 0
    told = ["Chosen: aa", "Selection regret in labelled/", "report.html", "selector best"]
    assert [out.index(text) for text in told] == sorted(out.index(text) for text in told)
    assert (tmp_path / "demo" / "report.html").stat().st_size > 1_000_000
