"""`selector report --wandb`: W&B's own client wandb-workspaces, up to the request that it sends."""

import json
from pathlib import Path
from typing import Any

import pytest
import wandb_workspaces.reports.v2 as wr
from loopback import API_KEY, Backend, Fault
from loopback.records import View

from selector.cli import main

pytestmark = pytest.mark.usefixtures("wandb_here")

DEFINITION = {"projector_dim": 128, "rankme_images": 1000, "umap_seeds": 3, "version": 1}
EVIL = "*b* <i>|`$x$` [a](http://b)"


def trained(backend: Backend, labels: bool = True) -> str:
    """Three runs; rankme chooses c, and b is the best by labels. b has a name that Markdown would obey."""
    sweep = backend.sweep("p", "method: random\nrun_cap: 3\nparameters: {lr: {values: [1]}}")
    for name, rankme, accuracy in (("a", 10.0, 0.2), ("b", 20.0, 0.9), ("c", 40.0, 0.7)):
        rows = [
            {"epoch": epoch, "label_free/rankme": rankme * epoch / 10}
            | ({"labelled/linear_probe_accuracy": accuracy} if labels else {})
            for epoch in (0, 5, 10)
        ]
        config = {"method": "simclr", "learning_rate": rankme / 100, "definition": DEFINITION}
        summary = {"completion/status": "completed", "completion/epoch": 10, **rows[-1]}
        shown = EVIL if name == "b" else name
        backend.run("p", name, rows, config, summary, sweep=sweep, display_name=shown)
    return f"loopback/p/{sweep.name}"


def call(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        status = main(["report", *arguments])
    except SystemExit as stop:
        status = stop.code  # type: ignore[assignment]
    out, err = capfd.readouterr()
    assert API_KEY not in out + err
    return status, out, err


def saved(backend: Backend) -> tuple[View, dict[str, Any]]:
    """The one report, and its grid of panels."""
    (view,) = backend.project("p").view_list
    (grid,) = [block["metadata"] for block in view.blocks if block["type"] == "panel-grid"]
    return view, grid


def test_what_a_report_says(backend: Backend, capfd: pytest.CaptureFixture[str]):
    source = trained(backend)
    status, out, err = call(capfd, source, "--wandb", "--quiet")
    assert (status, backend.errors) == (0, []), err
    view, _ = saved(backend)
    assert (view.type, view.display_name) == ("runs", f"{source[11:]}: the pick by rankme")
    assert "3 of 3 runs ranked" in view.description
    url = f"{backend.url}/loopback/p/reports/{source[11:]}:-the-pick-by-rankme--{view.id}"
    assert out == f"{url}: the report in W&B\n"
    warnings, text, ranking, steps = (
        block["content"] for block in view.blocks if block["type"] == "markdown-block"
    )
    assert "the choice is by rankme instead" in warnings
    assert "**c**: Highest rankme of 3 runs: 40\\.00 at epoch 10\\." in text
    assert "**20\\.0 points** selection regret" in text
    assert "| rank | run | rankme | linear\\_probe\\_accuracy | learning\\_rate |" in ranking
    assert "| 1 | c | 40\\.00 | 0\\.7000 | 0\\.4 |" in ranking
    assert r"\*b\* \<i\>\|\`\$x\$\` \[a\]\(http://b\)" in ranking
    assert EVIL not in view.spec
    assert f"`selector best {source} --metric rankme --output best.yaml`" in steps


def test_panels_draw_the_ranked_runs(backend: Backend, capfd: pytest.CaptureFixture[str]):
    assert call(capfd, trained(backend), "--wandb")[0] == 0
    view, grid = saved(backend)
    along, probe, scatter, parallel = grid["panelBankSectionConfig"]["panels"]
    assert (along["viewType"], along["config"]["metrics"]) == ("Run History Line Plot", ["label_free/rankme"])
    assert along["config"]["xAxis"] == probe["config"]["xAxis"] == "epoch"
    axes = scatter["config"]["xAxis"], scatter["config"]["yAxis"]
    assert axes == ("summary:label_free/rankme", "summary:labelled/linear_probe_accuracy")
    assert [column["accessor"] for column in parallel["config"]["columns"]] == [
        "config:learning_rate.value",
        "summary:label_free/rankme",
        "summary:labelled/linear_probe_accuracy",
    ]
    (runs,) = grid["runSets"]
    assert (runs["project"]["entityName"], runs["project"]["name"]) == ("loopback", "p")
    assert '["c", "b", "a"]' in json.dumps(runs["filters"])
    # W&B's client reads its own report back.
    read = wr.Report.from_url(f"{backend.url}/loopback/p/reports/x--{view.id}")
    assert [type(block).__name__ for block in read.blocks].count("PanelGrid") == 1


def test_a_server_that_refuses_is_one_line(backend: Backend, capfd: pytest.CaptureFixture[str]):
    source = trained(backend)
    backend.fail(Fault("error", "upsertView", times=None, status=403))
    status, out, err = call(capfd, source, "--wandb")
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"selector: {backend.url} did not take the report: ")
    assert "Traceback" not in err


def test_a_folder_and_a_user_who_wants_nothing_sent(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    assert call(capfd, str(tmp_path), "--wandb") == (
        1,
        "",
        f"selector: --wandb needs runs on a W&B server, but {tmp_path} is a folder or a file:"
        " `wandb sync` uploads its runs\n",
    )
    monkeypatch.setenv("WANDB_MODE", "offline")
    status, _, err = call(capfd, "loopback/p/s", "--wandb")
    assert (status, err) == (
        1,
        "selector: nothing is sent to W&B while WANDB_MODE is offline: unset it, or leave out --wandb\n",
    )
