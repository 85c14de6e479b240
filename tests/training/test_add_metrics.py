"""Where checkpoints of a run are looked for, and what is said of what was added."""

from dataclasses import replace

from handmade import run

from selector.reports.evaluation_tables import added_notes, added_object, added_rows
from selector.runs import Milestone
from selector.training.after_training import Added, folder_of

RUN = run("aa", 1.0)


def test_checkpoints_are_where_the_run_says_or_beside_its_files(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    here = replace(RUN, directory=str(tmp_path / "sweep" / "wandb" / "offline-run-1-aa"))
    moved = replace(here, checkpoint="/gone/runs/aa/milestone-0002.ckpt")
    stayed = replace(here, checkpoint=str(tmp_path / "elsewhere" / "milestone-0002.ckpt"))
    assert folder_of(moved) == folder_of(here) == tmp_path / "sweep" / "runs" / "aa"
    assert folder_of(stayed) == tmp_path / "elsewhere"


def test_an_id_leads_to_no_other_folder(tmp_path):
    for hostile in ("../../secret", "/etc", "..", "a/../b"):
        where = folder_of(replace(RUN, id=hostile, directory=str(tmp_path / "wandb" / "run")))
        assert where.resolve().parent == (tmp_path / "runs").resolve()
        assert where.name not in ("..", "")


def test_what_was_added_in_words():
    rows = {
        0: Milestone(0, {"label_free/lidar": 1.0, "noise/lidar": 0.1}),
        5: Milestone(5, {"label_free/entropy": 2.0}),
    }
    added = [
        Added(RUN, rows, kept=7, changed=1, without_checkpoint=(10, 15)),
        Added(RUN, {}, skipped="it is old"),
    ]
    # Metrics are in the order of the table.
    assert added_rows(added) == [("aa", "0, 5", "entropy, lidar"), ("aa", "–", "it is old")]
    text = " ".join(added_notes(added, dry_run=False))
    assert "3 values added at 2 milestones of 1 run; `wandb sync`" in text
    assert "7 came out the same and 1 did not, as other versions of libraries" in text
    assert "aa: no checkpoint is left for epoch 10, 15" in text
    assert "3 values would be added at 2 milestones of 1 run." in added_notes(added, dry_run=True)[0]
    assert added_object(added[0])["epochs"][1] == {"epoch": 5, "values": {"label_free/entropy": 2.0}}
