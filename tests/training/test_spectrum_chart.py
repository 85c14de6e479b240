import math
import time
from dataclasses import replace

import pytest
import wandb
from wandb.proto import wandb_internal_pb2 as pb

from selector.metrics.compact_spectrum import CompactSpectrum, spectra_of
from selector.metrics.milestone import Milestone
from selector.tracking.offline import read_offline
from selector.tracking.offline_file import read_payloads
from selector.training.spectrum_chart import with_chart
from selector.training.wandb_log import WandbLog

MILESTONE = Milestone(
    4,
    {"label_free/rankme": 2.5},
    {
        "spectrum/backbone": (1.0, 0.1, 0.0),
        "spectrum/backbone_ranks": (1, 2, 5),
        "spectrum/projector": (1.0,),
        "spectrum/projector_ranks": (1,),
    },
    {"correct/linear_probe_accuracy": "/w=="},
)
SPECTRA = {
    "backbone": CompactSpectrum((1, 2, 5), (1.0, 0.1, 0.0)),
    "projector": CompactSpectrum((1,), (1.0,)),
}


def test_a_point_is_a_rank_and_the_logarithm_of_its_value():
    row = with_chart(MILESTONE)
    assert MILESTONE.row.items() <= row.items()
    chart = row["spectrum/chart"]
    points = [[1, 0, "backbone"], [2, math.log10(0.1), "backbone"], [5, -16, "backbone"], [1, 0, "projector"]]
    assert chart.table.data == points
    assert chart.table.columns == ["rank", "log10 of the share of the largest", "space"]


def test_a_row_without_spectra_has_no_chart():
    assert with_chart(Milestone(4, {"label_free/rankme": 2.5})) == {"epoch": 4, "label_free/rankme": 2.5}


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wandb")
    run = wandb.init(mode="offline", dir=folder, project="p", settings=wandb.Settings(silent=True))
    log = WandbLog(run)
    log.milestone(MILESTONE)
    log.milestone(replace(MILESTONE, epoch=8))
    run.finish()
    for _ in range(300):  # W&B's other process may close the file a little later
        if (runs := read_offline(folder).runs) and runs[0].state == "finished":
            break
        time.sleep(0.1)
    return folder


def test_what_is_logged_is_read_back_from_a_run(logged):
    milestones = read_offline(logged, spectra=True).runs[0].milestones
    assert [spectra_of(milestone.lists) for milestone in milestones] == [SPECTRA, SPECTRA]
    assert milestones == (MILESTONE, replace(MILESTONE, epoch=8))


def test_readers_of_metrics_see_nothing_new_among_them(logged):
    milestones = read_offline(logged).runs[0].milestones
    assert milestones == tuple(Milestone(epoch, {"label_free/rankme": 2.5}) for epoch in (4, 8))


def test_the_summary_holds_the_chart_and_not_the_lists(logged):
    records = (pb.Record.FromString(p) for f in logged.rglob("*.wandb") for p in read_payloads(f.open("rb")))
    keys = {update.key or "/".join(update.nested_key) for r in records for update in r.summary.update}
    # W&B's chart asks for `summaryTable` of this very key.
    assert any(key.startswith("spectrum/chart_table") for key in keys)
    assert not any(key.startswith(("spectrum/backbone", "spectrum/projector")) for key in keys)


def test_each_milestone_has_a_chart(logged):
    assert len(list(logged.rglob("spectrum/chart_table_*.table.json"))) == 2
