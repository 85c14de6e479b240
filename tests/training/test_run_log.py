"""What a run tells W&B when an earlier process of it was killed, or when W&B's own process is."""

import errno
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import wandb
from offline_files import write_run

from selector.config import TrainConfig
from selector.errors import UserError
from selector.metrics.milestone import Milestone
from selector.tracking.offline import read_offline
from selector.tracking.offline_file import read_segment
from selector.training import wandb_log
from selector.training.run_folder import RunFolder
from selector.training.stopping import StopSignals

RUN = "simclr-1.a"
ROWS = [Milestone(epoch, {"label_free/rankme": 1.0 + epoch}) for epoch in range(5)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    wandb.teardown()
    for name, value in (("MODE", "offline"), ("DIR", str(tmp_path)), ("SILENT", "true")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    yield tmp_path
    with suppress(ConnectionError):
        wandb.teardown()


def earlier(here: Path, number: int, epochs: list[int], exit_code: int | None = None) -> Path:
    """A file of an earlier process of the run."""
    folder = here / "wandb" / f"offline-run-20260101_00000{number}-{RUN}"
    rows = [ROWS[epoch].row for epoch in epochs]
    return write_run(
        folder / f"run-{RUN}.wandb", RUN, rows=rows, exit_code=exit_code, started=1000.0 + number
    )


def go_on(here: Path, rows: list[Milestone]) -> None:
    folder = RunFolder(RUN, here / "runs" / RUN, None)
    with wandb_log.wandb_log(TrainConfig(), folder, StopSignals()) as log:
        log.restore(rows)
        log.milestone(ROWS[4])
        assert [row.epoch for row in log.rows] == [0, 1, 2, 3, 4]
        log.end("completed", 4)


def test_all_that_a_kill_took_is_logged_again_and_nothing_else(here: Path):
    earlier(here, 1, [0])
    damaged = earlier(here, 2, [2])
    damaged.write_bytes(damaged.read_bytes()[:-3])  # cut in the middle of the row
    earlier(here, 3, [])
    go_on(here, ROWS[:4])
    *_, last = sorted(here.glob("wandb/offline-run-*/*.wandb"), key=os.path.getmtime)
    assert [row.epoch for row in read_segment(last).history.milestones()] == [1, 2, 3, 4]
    (run,) = read_offline(here).runs
    assert [(row.epoch, row.values["label_free/rankme"]) for row in run.milestones] == [
        (epoch, 1.0 + epoch) for epoch in range(5)
    ]
    assert run.state == "finished"


def test_a_run_names_the_software_of_all_its_processes(here: Path):
    file = here / "wandb" / f"offline-run-20260101_000001-{RUN}" / f"run-{RUN}.wandb"
    write_run(file, RUN, rows=[ROWS[0].row], summary={"versions": "torch 1.13.1"}, started=1000.0)
    go_on(here, ROWS[:4])
    (run,) = read_offline(here).runs
    first, then = run.versions.split("; then ")
    assert first == "torch 1.13.1"
    assert f", torch {torch.__version__.partition('+')[0]}" in then
    assert f", wandb {wandb.__version__}, Python 3." in then


def test_the_end_of_wandbs_own_process_is_one_line(here: Path, capfd: pytest.CaptureFixture[str]):
    folder = RunFolder("alone", here / "runs" / "alone", None)
    expected = r"wandb-core\) has ended.*--resume continues the run"

    def until_it_is_noticed() -> None:
        with wandb_log.wandb_log(TrainConfig(), folder, StopSignals()) as log:
            log.milestone(ROWS[0])
            os.kill(service(), signal.SIGKILL)
            for _ in range(100):
                time.sleep(0.05)
                log.milestone(ROWS[1])

    with pytest.raises(UserError, match=expected):
        until_it_is_noticed()
    wandb.teardown()
    assert "Traceback" not in capfd.readouterr().err


def test_a_file_that_wandb_could_not_finish_is_said(here: Path, monkeypatch: pytest.MonkeyPatch):
    """As on a full disk, of which its process tells nobody."""
    folder = RunFolder("full", here / "runs" / "full", None)

    def cut(run: wandb.Run, exit_code: int) -> None:
        file = Path(run.dir).parent / "run-full.wandb"
        finish(run, exit_code)
        wandb.teardown()
        file.write_bytes(file.read_bytes()[:-20])

    finish = wandb_log._finish
    monkeypatch.setattr(wandb_log, "_finish", cut)

    def log_to_a_full_disk() -> None:
        with wandb_log.wandb_log(TrainConfig(), folder, StopSignals()) as log:
            log.milestone(ROWS[0])

    with pytest.raises(UserError, match=r"is not whole \(ends inside a record.*with --resume logs what"):
        log_to_a_full_disk()


def test_a_service_that_others_use_may_write_a_little_later(here: Path, monkeypatch: pytest.MonkeyPatch):
    """It does not end with the run, and answers before all is on disk."""
    folder = RunFolder("shared", here / "runs" / "shared", None)
    file = Path()

    def write_later(run: wandb.Run, exit_code: int) -> None:
        nonlocal file
        file = Path(run.dir).parent / "run-shared.wandb"
        finish(run, exit_code)
        wandb.teardown()
        monkeypatch.setenv("WANDB_SERVICE", "of-a-notebook")
        whole = file.read_bytes()
        file.write_bytes(whole[:-20])
        threading.Timer(0.5, file.write_bytes, [whole]).start()

    finish = wandb_log._finish
    monkeypatch.setattr(wandb_log, "_finish", write_later)
    with wandb_log.wandb_log(TrainConfig(), folder, StopSignals()) as log:
        log.milestone(ROWS[0])
    assert read_segment(file).exit_code == 0
    monkeypatch.delenv("WANDB_SERVICE")


def test_the_key_is_in_no_file_and_no_line_of_a_run(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    key = "0123456789abcdef" * 2 + "deadbeef"
    monkeypatch.setenv("WANDB_API_KEY", key)
    folder = RunFolder(RUN, here / "runs" / RUN, None)
    with wandb_log.wandb_log(TrainConfig(), folder, StopSignals()) as log:
        log.milestone(ROWS[0])
        assert key not in Path(f"/proc/{service()}/cmdline").read_text()
    files = [path for path in here.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    assert not [path for path in files if key.encode() in path.read_bytes()]
    assert key not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/x/y.npz"),
            r"'/x/y.npz' .No space left on device",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/a", None, "/x/b"), "'/x/b' .No space left"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
    ],
)
def test_a_full_disk_is_one_line_wherever_it_is_met(here: Path, error: OSError, said: str):
    folder = RunFolder("room", here / "runs" / "room", None)

    def meet_it() -> None:
        with wandb_log.wandb_log(TrainConfig(), folder, StopSignals()):
            raise error

    with pytest.raises(
        UserError, match=f"cannot write .*{said}.*make room, and the same command with --resume"
    ):
        meet_it()


def test_other_errors_of_the_system_stay_what_they_are(here: Path):
    folder = RunFolder("other", here / "runs" / "other", None)

    def meet_it() -> None:
        with wandb_log.wandb_log(TrainConfig(), folder, StopSignals()):
            raise FileNotFoundError(errno.ENOENT, "No such file", "images")

    with pytest.raises(FileNotFoundError):
        meet_it()


def service() -> int:
    """W&B's process below this one."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    (found,) = [pid for pid in children if "wandb-core" in Path(f"/proc/{pid}/cmdline").read_text()]
    return int(found)
