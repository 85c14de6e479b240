"""A run under a real agent loses its machine, in every way, and goes on on another one."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import wandb
import yaml
from loopback import Backend, Workplace, wait_for
from loopback.records import Run
from tiny_training import flags, parameters

import train
from selector.runs import read_source
from selector.training.run_folder import last_checkpoint

pytestmark = pytest.mark.slow

LONG = {"epochs": 180, "milestone_every": 60}


@dataclass
class Lives:
    """The run, after it was worked on by three machines.

    Attributes:
        run: As W&B has it.
        ends: Epoch of the last row that W&B had at the end of each life, and the state it was in.
        printed: What each process printed.
        second: Folder of the second machine.
    """

    run: Run
    ends: list[tuple[int, str]]
    printed: list[str]
    second: Path


def training_of(agent: subprocess.Popen[str]) -> int:
    """The process of the run; an agent has other children. ValueError where there is none."""
    listed = Path(f"/proc/{agent.pid}/task/{agent.pid}/children")
    children = listed.read_text().split() if listed.exists() else []
    (found,) = [pid for pid in children if train.__file__ in Path(f"/proc/{pid}/cmdline").read_text()]
    return int(found)


def epochs(run: Run) -> list[int]:
    return [row["epoch"] for row in run.rows]


def arguments() -> list[str]:
    return [train.__file__, *flags(**LONG)]


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    started: list[subprocess.Popen[str]] = []
    with Backend() as backend:
        places = [Workplace(backend, tmp_path_factory.mktemp(name)) for name in ("first", "second")]
        try:
            yield lose_two_machines(backend, *places, started)
        finally:
            for process in started:
                with suppress(ValueError):
                    os.kill(training_of(process), signal.SIGKILL)
                process.kill()


def lose_two_machines(
    backend: Backend, first: Workplace, second: Workplace, started: list[subprocess.Popen[str]]
) -> Lives:
    config = {"program": train.__file__, "method": "grid", "parameters": parameters(**LONG)}
    sweep = backend.sweep("p", yaml.safe_dump(config))
    agent = ("agent", "--count", "1", f"loopback/p/{sweep.name}")
    ends, printed = [], []

    # The first machine is taken back between the milestones 60 and 120.
    started.append(first.start_wandb(*agent))
    wait_for(lambda: list(first.folder.glob("runs/*/milestone-0060.ckpt")), 900)
    (run,) = sweep.run_list
    os.kill(training_of(started[-1]), signal.SIGTERM)
    printed.append(first.end(started[-1]))
    ends.append((epochs(run)[-1], run.state))

    # Another one goes on, and dies between 120 and 180, before W&B's client has sent the milestone 120.
    started.append(second.start_wandb(*agent))
    wait_for((second.folder / "runs" / run.name / "milestone-0120.ckpt").exists, 900)
    os.kill(training_of(started[-1]), signal.SIGKILL)
    printed.append(second.end(started[-1]))
    ends.append((epochs(run)[-1], run.state))

    # The command of that run, given again there, ends it.
    environment = {"WANDB_SWEEP_ID": sweep.name, "WANDB_RUN_ID": run.name, "WANDB_PROJECT": "p"}
    started.append(second.start(*arguments(), **environment))
    printed.append(second.end(started[-1], 900))
    ends.append((epochs(run)[-1], run.state))
    return Lives(run, ends, printed, second.folder)


def test_each_life_ends_as_it_should(lives: Lives) -> None:
    (first, preempted), (second, lost), last = lives.ends
    assert (first, preempted, last) == (60, "preempted", (180, "finished"))
    # Nobody has told W&B of the one that died: its server notices the silence after some minutes.
    assert (second in (60, 120), lost) == (True, "running")
    assert lives.run.summary["completion/status"] == "completed"


def test_the_history_has_every_milestone_once(lives: Lives) -> None:
    assert epochs(lives.run) == [0, 60, 120, 180]
    assert [row["_step"] for row in lives.run.rows] == [0, 1, 2, 3]


def test_nobody_sees_a_traceback(lives: Lives) -> None:
    assert "interrupted: the same command with --resume continues the run" in lives.printed[0]
    assert not any("Traceback" in text for text in lives.printed)


def test_the_second_machine_had_the_checkpoint_from_wandb(lives: Lives) -> None:
    assert not any("it starts over" in text for text in lives.printed)
    assert last_checkpoint(lives.second / "runs" / lives.run.name).name == "milestone-0180.ckpt"


def test_the_artifact_holds_the_last_milestone_and_its_fingerprint(lives: Lives) -> None:
    (sequence,) = [s for s in lives.run.project.collections.values() if s.type_name == "model"]
    kept = [version for version in sequence.versions if version.state == "COMMITTED"]
    assert sequence.name == f"model-{lives.run.name}"
    assert {alias["alias"] for alias in kept[-1].aliases} == {"latest", "last", "milestone-180"}
    assert sorted(kept[-1].file_by_name) == ["fingerprint.npz", "milestone-0180.ckpt"]


def test_it_is_bit_for_bit_the_run_of_one_machine(
    lives: Lives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    wandb.teardown()
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    assert train.main(flags(**LONG)) == 0
    wandb.teardown()
    (whole,) = read_source(str(tmp_path)).runs
    for milestone, row in zip(whole.milestones, lives.run.rows, strict=True):
        compared = {k: v for k, v in milestone.values.items() if not k.startswith("cost/")}
        logged = {k: float(row[k]) for k in compared}
        assert logged == pytest.approx(compared, rel=0, abs=0, nan_ok=True)
