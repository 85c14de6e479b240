"""What a run of train.py writes down when it is continued, stopped, killed, or out of room."""

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import wandb

from selector.config import TrainConfig
from selector.errors import UserError
from selector.milestone import Milestone
from selector.record import Record, read_record
from selector.runs import read_source
from selector.training.run_log import run_log
from selector.training.stopping import Stopped, StopSignals

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
    wandb.teardown()


def folder(here: Path) -> Path:
    return here / "runs" / RUN


def test_a_run_is_its_record_and_wandb_has_the_same(here: Path):
    with run_log(TrainConfig(), folder(here), StopSignals()) as log:
        log.define({"version": 1})
        for milestone in ROWS[:3]:
            log.milestone(milestone)
        log.end("completed", 2)
    wandb.teardown()
    content = read_record(here / "runs" / RUN)
    header = content.header
    assert (header.id, header.job_type, header.tags) == (RUN, "train", ("simclr", "digits"))
    assert (header.config["method"], header.project) == ("simclr", "ssl-sweep-selector")
    assert f", torch {torch.__version__.partition('+')[0]}" in header.versions
    of_record, of_wandb = (read_source(str(here / place)).runs for place in ("runs", "wandb"))
    for name in ("id", "state", "config", "definition", "milestones", "tags", "job_type", "project"):
        assert getattr(of_record[0], name) == getattr(of_wandb[0], name), name
    assert read_source(str(here)).runs == of_record


def test_what_the_record_lacks_comes_from_the_checkpoint(here: Path):
    """As on a machine that has fetched the checkpoint from W&B."""
    Record(folder(here), {"method": "simclr"}).milestone(ROWS[0])
    with run_log(TrainConfig(), folder(here), StopSignals()) as log:
        log.restore([replace_value(ROWS[0]), *ROWS[1:3]])
        log.milestone(ROWS[3])
        assert log.rows == ROWS[:4]
    wandb.teardown()
    assert read_record(folder(here)).milestones == tuple(ROWS[:4])
    assert read_source(str(here / "wandb")).runs[0].milestones == tuple(ROWS[:4])


def replace_value(milestone: Milestone) -> Milestone:
    return Milestone(milestone.epoch, {"label_free/rankme": -1.0})


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (Stopped(signal.SIGTERM), ("interrupted", "SIGTERM")),
        (Stopped(signal.SIGINT), ("interrupted", "SIGINT")),
        (UserError("no\nroom"), ("failed", "no")),
        (None, None),
    ],
)
def test_how_a_run_ended_is_in_the_record(here: Path, error: BaseException | None, end: tuple | None):
    def train() -> None:
        with run_log(TrainConfig(), folder(here), StopSignals()) as log:
            log.milestone(ROWS[2])
            if error is not None:
                raise error

    if error is None:
        train()
        assert read_record(folder(here)).end is None
        return
    with pytest.raises(type(error)):
        train()
    found = read_record(folder(here)).end
    assert found is not None
    assert (found.status, found.detail, found.epoch) == (*end, 2)


def test_the_key_is_in_no_file_and_no_line_of_a_run(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    key = "0123456789abcdef" * 2 + "deadbeef"
    monkeypatch.setenv("WANDB_API_KEY", key)
    with run_log(TrainConfig(), folder(here), StopSignals()) as log:
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
    def meet_it() -> None:
        with run_log(TrainConfig(), folder(here), StopSignals()):
            raise error

    with pytest.raises(
        UserError, match=f"cannot write .*{said}.*make room, and the same command with --resume"
    ):
        meet_it()


@pytest.mark.parametrize(
    ("sent", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 143), (signal.SIGUSR2, 143)],
)
def test_what_schedulers_send_counts_as_sigterm(sent, status):
    before = signal.getsignal(sent)
    with StopSignals() as signals:
        signals.holding = True  # nothing happens in the middle of a step
        os.kill(os.getpid(), sent)
        assert signals.received is not None
        held, signals.received = signals.received, None
        signals.release()
        with pytest.raises(Stopped) as stop:
            os.kill(os.getpid(), sent)
    assert (held, stop.value.code) == (stop.value.signum, status)
    assert signal.getsignal(sent) is before


def service() -> int:
    """W&B's process below this one."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    (found,) = [pid for pid in children if "wandb-core" in Path(f"/proc/{pid}/cmdline").read_text()]
    return int(found)
