"""`selector rank --write-back` against the backend on 127.0.0.1; W&B's own client looks at the outcome."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wandb
from loopback import API_KEY, Backend, Fault
from loopback.records import Run, Sweep

from selector.cli import main
from selector.tracking.write_back import DECISION, MARK, write_back

pytestmark = pytest.mark.usefixtures("wandb_here")

DEFINITION = {"projector_dim": 128, "rankme_images": 1000, "umap_seeds": 3, "version": 1}
CHANGING = {"UpsertBucket", "AddAliases", "DeleteAliases", "UpdateArtifact", "file_stream"}
# What three runs with labels, and without spectra, give.
CHARTS = (
    "scatter",
    "choices",
    "stopping",
    "parallel",
    "heatmap",
    "along-training/rankme",
    "along-training/linear_probe_accuracy",
)


def trained(backend: Backend, sweep: Sweep, name: str, rankme: float, accuracy: float, **more: Any) -> Run:
    """A run of train.py that ended after 10 epochs, with a checkpoint of each milestone."""
    rows = [
        {
            "epoch": epoch,
            "label_free/rankme": rankme * epoch / 10,
            "label_free/entropy": 9 - rankme / 10,
            "labelled/linear_probe_accuracy": accuracy,
        }
        for epoch in (0, 5, 10)
    ]
    config = {
        "method": "simclr",
        "dataset": "digits",
        "learning_rate": rankme / 100,
        "definition": DEFINITION,
        "_wandb": {"t": {"5": "0.31.0"}},  # what wandb notes of the run itself
    }
    summary = {"completion/status": "completed", "completion/epoch": 10, "mine": 7, **rows[-1]}
    run = backend.run("p", name, rows, config, summary, sweep=sweep, **{"tags": ["t"], **more})
    for epoch in (5, 10):
        backend.artifact(run, f"model-{name}", "last", f"milestone-{epoch}")
    return run


@pytest.fixture
def sweep(backend: Backend) -> Sweep:
    """Three runs; rankme chooses c, entropy (lower is better) c too, and b is the best by labels."""
    sweep = backend.sweep("p", "method: random\nrun_cap: 3\nparameters: {lr: {values: [1]}}")
    for name, rankme, accuracy in (("a", 10.0, 0.2), ("b", 20.0, 0.9), ("c", 40.0, 0.7)):
        trained(backend, sweep, name, rankme, accuracy)
    return sweep


@pytest.fixture
def rank(
    backend: Backend,
    sweep: Sweep,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[int, str, str]]:
    """`selector rank SWEEP …`: exit status, stdout, stderr."""
    monkeypatch.setattr("selector.tracking.write_back.write_back", quick)

    def rank(*options: str) -> tuple[int, str, str]:
        backend.requests.clear()
        status = main(["rank", f"loopback/p/{sweep.name}", *options])
        out, err = capfd.readouterr()
        assert API_KEY not in out + err
        assert backend.errors == [], err
        return status, out, err

    return rank


def quick(*arguments: Any, **keywords: Any) -> Any:
    """write_back without a pause before it looks again."""
    return write_back(*arguments, settle=0.0, **keywords)


def marked(backend: Backend) -> tuple[list[str], list[str]]:
    """Runs with the tag, and checkpoints with the alias."""
    project = backend.project("p")
    versions = [version for sequence in project.collections.values() for version in sequence.versions]
    return (
        [run.name for run in project.bucket_by_name.values() if MARK in run.tags],
        [
            f"{version.artifact_sequence.name}:v{version.version_index}"
            for version in versions
            if MARK in [alias["alias"] for alias in version.aliases]
        ],
    )


def noted(run: Run, metric: str = "rankme") -> dict[str, Any]:
    prefix = f"selection/{metric}/"
    return {key.removeprefix(prefix): value for key, value in run.summary.items() if key.startswith(prefix)}


def test_what_is_written_and_that_it_is_written_once(
    backend: Backend, sweep: Sweep, rank: Any, tmp_path: Path
):
    status, out, _ = rank("--write-back")
    assert status == 0
    table_run = f"selection-{sweep.name}"
    assert out.endswith(
        f"""written back:
  selection/rankme/rank, score, … of 3 runs
  tag label-free-best: on c
  alias label-free-best: on model-c:v1
  tables ranking/rankme and regret/rankme in loopback/p/{table_run}
  charts charts/rankme/ {", ".join(CHARTS)} in loopback/p/{table_run}
"""
    )
    # As W&B's own client sees it.
    api = wandb.Api()
    runs = {run.id: run for run in api.runs("loopback/p")}
    assert {id: (run.tags, run.job_type) for id, run in runs.items()} == {
        "a": (["t"], None),
        "b": (["t"], None),
        "c": (["t", MARK], None),
        table_run: ([], "selection"),
    }
    assert {key: value for key, value in runs["b"].summary.items() if key.startswith("selection/")} == {
        "selection/rankme/rank": 2,
        "selection/rankme/score": 20.0,
        "selection/rankme/epoch": 10,
        "selection/rankme/tied": False,
        "selection/rankme/picked": False,
    }
    assert (runs["c"].summary["selection/rankme/picked"], runs["c"].summary["mine"]) == (True, 7)
    assert runs["c"].config["learning_rate"] == 0.4
    assert backend.project("p").bucket_by_name["c"].config_value("_wandb") == {"t": {"5": "0.31.0"}}
    assert "milestone-10" in api.artifact("loopback/p/model-c:label-free-best").aliases
    for artifact in runs[table_run].logged_artifacts():
        artifact.download(str(tmp_path / "tables"))
    ranking, regret = (
        json.loads((tmp_path / "tables" / name / "rankme.table.json").read_text())
        for name in ("ranking", "regret")
    )
    assert [row[1:5] for row in ranking["data"]] == [
        [1, "c", "name of c", 40],
        [2, "b", "name of b", 20],
        [3, "a", "name of a", 10],
    ]
    chosen = dict(zip(regret["columns"], regret["data"][0], strict=True))
    assert (chosen["chosen by"], chosen["run"], chosen["regret"]) == ("rankme", "c", pytest.approx(0.2))

    status, out, _ = rank("--write-back")
    assert (status, out.splitlines()[-1]) == (0, "nothing to write back: W&B already has all of it")
    assert CHANGING.isdisjoint(backend.requests)
    assert len(runs[table_run].logged_artifacts()) == 2


def test_the_reports_charts_are_in_the_selection_run(
    backend: Backend, sweep: Sweep, rank: Any, tmp_path: Path
):
    rank("--write-back")
    run = wandb.Api().run(f"loopback/p/selection-{sweep.name}")
    named = {key: value for key, value in run.summary.items() if key.startswith("charts/rankme/")}
    assert {key.removeprefix("charts/rankme/") for key in named} == set(CHARTS)
    assert {value["_type"] for value in named.values()} == {"plotly-file"}
    for file in run.files():
        file.download(str(tmp_path), replace=True)
    drawn = {name: json.loads((tmp_path / value["path"]).read_text()) for name, value in named.items()}
    scatter = drawn["charts/rankme/scatter"]
    traces = {trace["name"]: trace for trace in scatter["data"]}
    # c is chosen: rankme 40, accuracy 0.7; b is the best: rankme 20, accuracy 0.9.
    assert (traces["the pick"]["x"], traces["the pick"]["y"]) == ([40], [0.7])
    assert (traces["best by labels"]["x"], traces["best by labels"]["y"]) == ([20], [0.9])
    assert scatter["layout"]["title"]["text"] == "The metric and the labels"
    assert "--" not in json.dumps(drawn)  # no colour is left as a name of the page's
    assert "nothing to write back" in rank("--write-back")[1]
    # Neither ranking nor regret by rankme change, but the chart of how the metrics agree does.
    b = backend.project("p").bucket_by_name["b"]
    b.write_history(3, [json.dumps({"_step": 3, "epoch": 10, "label_free/entropy": 20.0})])
    assert "heatmap" in rank("--write-back")[1]
    assert "nothing to write back" in rank("--write-back")[1]


def test_a_dry_run_sends_nothing(backend: Backend, sweep: Sweep, rank: Any):
    status, out, _ = rank("--write-back", "--dry-run", "--json")
    told = json.loads(out)["write_back"]
    assert (status, told["dry_run"], told["tables"]) == (0, True, True)
    assert told["charts"] == [f"charts/rankme/{name}" for name in CHARTS]
    assert (told["noted"], told["tag_on"], told["alias_on"]) == (["a", "b", "c"], ["c"], ["model-c:v1"])
    assert CHANGING.isdisjoint(backend.requests)
    assert marked(backend) == ([], [])
    assert "would be written back (dry run, nothing is sent):" in rank("--write-back", "--dry-run")[1]


def test_a_new_winner_takes_all_from_the_former(backend: Backend, sweep: Sweep, rank: Any):
    rank("--write-back")
    trained(backend, sweep, "d", 80.0, 0.95)
    backend.project("p").bucket_by_name["c"].tags = ["t"]  # somebody took it off by hand, but not the alias
    lost, running = (backend.project("p").bucket_by_name[name] for name in "ab")
    lost.summary["completion/status"] = "diverged"
    running.state = "running"
    del running.summary["completion/status"]
    kept = dict(running.summary)
    status, out, _ = rank("--write-back")
    assert status == 0
    assert "tag label-free-best: on d" in out
    assert "alias label-free-best: on model-d:v1; off model-c:v1" in out
    assert marked(backend) == (["d"], ["model-d:v1"])
    runs = backend.project("p").bucket_by_name
    assert (noted(runs["d"])["rank"], noted(runs["c"])["rank"], noted(runs["c"])["picked"]) == (1, 2, False)
    assert noted(lost) == {}  # it is ranked no more
    assert running.summary == kept  # its process writes it


def test_the_tag_follows_the_last_decision(backend: Backend, sweep: Sweep, rank: Any):
    for metric, direction, winner in (("mine/a", "max", "c"), ("mine/b", "min", "a"), ("mine/a", "max", "c")):
        for number, name in enumerate("abc"):
            run = backend.project("p").bucket_by_name[name]
            run.write_history(3, [json.dumps({"_step": 3, "epoch": 10, "mine/a": number, "mine/b": number})])
        assert rank("--write-back", "--metric", metric, "--direction", direction)[0] == 0
        assert marked(backend) == ([winner], [f"model-{winner}:v1"])
    assert "tag label-free-best: on a; off c" in rank("--write-back", "--metric=mine/b", "--direction=min")[1]
    a = backend.project("p").bucket_by_name["a"]
    assert (noted(a, "mine/a")["picked"], noted(a, "mine/b")["picked"]) == (False, True)


def test_the_milestone_that_was_chosen_at_else_the_last_checkpoint(backend: Backend, sweep: Sweep, rank: Any):
    rank("--write-back", "--milestone", "5")
    assert marked(backend)[1] == ["model-c:v0"]
    sequence = backend.project("p").collections["model-c"]
    for alias in ("milestone-10", MARK):
        del sequence.alias_of[alias]
    rank("--write-back")
    assert marked(backend)[1] == ["model-c:v1"]  # by its alias `last`
    sequence.type_name = "checkpoint"
    assert "alias label-free-best: no checkpoint of c is an artifact in W&B" in rank("--write-back")[1]


@pytest.mark.parametrize(("metric", "winner"), [("lidar", "a"), ("rankme", "d")])
def test_another_selector_decides_meanwhile(
    backend: Backend, sweep: Sweep, rank: Any, metric: str, winner: str
):
    """By another metric, whose decision stands; or by the same one over more runs: then it is ranked anew."""

    def meanwhile() -> None:
        if winner == "d":
            trained(backend, sweep, "d", 80.0, 0.95)
        run = backend.project("p").bucket_by_name[f"selection-{sweep.name}"]
        run.summary[DECISION] = json.dumps({"metric": metric, "picks": [[winner, 10]], "signature": "x"})

    backend.fail(Fault("call", "Runs", after=4, action=meanwhile))
    status, out, _ = rank("--write-back")
    assert (status, marked(backend)) == (0, ([winner], [f"model-{winner}:v1"]))
    chosen = "d" if winner == "d" else "c"  # by rankme
    assert f"Chosen: {chosen}" in out
    assert noted(backend.project("p").bucket_by_name[chosen])["picked"] is True


def test_what_others_note_is_kept(backend: Backend, sweep: Sweep, rank: Any):
    b = backend.project("p").bucket_by_name["b"]
    # After the runs were compared, and before they are read anew to be written.
    fault = Fault("call", "Run", mentions='"b"', action=lambda: b.summary.update(note=1))
    backend.fail(fault)
    assert rank("--write-back")[0] == 0
    assert fault.hits == 1
    assert (b.summary["note"], b.summary["mine"], noted(b)["rank"]) == (1, 7, 2)


# What goes wrong: one line each


def test_a_server_that_refuses(backend: Backend, sweep: Sweep, rank: Any):
    backend.fail(Fault("error", "UpsertBucket", times=None, status=403, mentions="UpsertBucket( $id"))
    status, out, err = rank("--write-back")
    assert (status, out) == (1, "")
    assert err.startswith(f"selector: cannot write back to loopback/p/{sweep.name} on http")
    assert "the same command continues where this one stopped" in err
    assert err.count("\n") == 1
    backend.app.faults.clear()
    assert rank("--write-back")[0] == 0
    assert marked(backend) == (["c"], ["model-c:v1"])


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_a_user_who_wants_nothing_sent(rank: Any, monkeypatch: pytest.MonkeyPatch, mode: str):
    monkeypatch.setenv("WANDB_MODE", mode)
    assert rank("--write-back") == (
        1,
        "",
        f"selector: nothing is sent to W&B while WANDB_MODE is {mode}: unset it, or pass --dry-run\n",
    )
    assert rank("--write-back", "--dry-run")[0] == 0
