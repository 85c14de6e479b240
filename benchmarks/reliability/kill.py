"""Runs of train.py killed at random moments and continued, against the run that nobody disturbed.

    python benchmarks/reliability/kill.py [--trials 100] [--seed 0] [--background]

Each trial starts a tiny training (milestones before and after each of three epochs), kills it once or twice
and continues it: at moments spread over its whole life, within its first seconds, while a checkpoint is being
written, while W&B's file grows; by SIGKILL of everything (a machine that dies), of the training alone, of
W&B's service alone, and by SIGTERM. After each kill every checkpoint must load, and what can be read must be
true; at the end all milestones must be there with the very bits of the undisturbed run. With --background the
milestones are evaluated by another process, as on a machine with a GPU, which is killed in its turn.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from trials import (
    TINY,
    TRAIN,
    Row,
    alive,
    differences,
    family,
    figures,
    flags,
    kill_family,
    offline,
    print_table,
    uniform,
)

from selector.errors import UserError
from selector.sweeping.processes import ForkServer, RunProcess
from selector.tracking.offline import read_offline

_PATIENCE = 300.0  # seconds for what takes ten
_WHERE = ("any moment", "the first second", "writing a checkpoint", "writing W&B's file")
_IN_BACKGROUND = Path(__file__).with_name("train_in_background.py")
_WORKER = "SIGKILL of the evaluating process"
_HOW = ("SIGKILL of everything", "SIGKILL of the training", "SIGTERM", "SIGKILL of W&B's service")


@dataclass
class Campaign:
    """What all trials have in common.

    Attributes:
        root: Folder of all trials.
        starter: Process that has the imports done.
        program: What the runs execute.
        seconds: What an undisturbed run takes.
        truth: Its milestones.
        weights: Its last weights.
    """

    root: Path
    starter: ForkServer
    program: Path
    seconds: float = 0.0
    truth: dict[int, str] | None = None
    weights: dict[str, torch.Tensor] | None = None

    def start(self, folder: Path) -> RunProcess:
        """Start, or continue, the run of a folder."""
        folder.mkdir(exist_ok=True)
        arguments = [*flags(TINY), "--resume=True"]
        return self.starter.start(str(self.program), arguments, offline(folder), folder / "output.log")

    def learn(self) -> None:
        """Run once without disturbance."""
        folder = self.root / "undisturbed"
        began = time.monotonic()
        process = self.start(folder)
        if not waited(lambda: process.poll() is not None) or process.poll() != 0:
            raise SystemExit((folder / "output.log").read_text())
        self.seconds = time.monotonic() - began
        (run,) = read_offline(folder).runs
        assert run.state == "finished"
        self.truth = figures(run)
        self.weights = last_weights(folder)


def main() -> int:
    """Run the campaign, print its rows."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--background", action="store_true", help="milestones by another process")
    options = parser.parse_args()
    program, ways, name = (TRAIN, _HOW, "training")
    if options.background:
        program, ways, name = (_IN_BACKGROUND, (*_HOW, _WORKER), "milestones in the background")
    rows = {how: Row(f"{name}: {how}") for how in ways}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        starter = ForkServer(offline(root), root / "imports.log")
        assert starter.wait_until_ready(lambda: False), (root / "imports.log").read_text()
        campaign = Campaign(root, starter, program)
        campaign.learn()
        for index in range(options.trials):
            trial(campaign, index, options.seed, ways, rows[ways[index % len(ways)]])
    return print_table(list(rows.values()))


def trial(campaign: Campaign, index: int, seed: int, ways: Sequence[str], row: Row) -> None:
    """Kill and continue one run, and judge it."""
    folder = campaign.root / f"trial-{index}"
    how, where = ways[index % len(ways)], index // len(ways) % len(_WHERE)
    kills = 2 if uniform(seed, 2 * index + 1, 0, 1) < 0.3 else 1
    row.trials += 1
    before = len(row.notes)
    for number in range(kills):
        process = campaign.start(folder)
        moment = uniform(seed, 2 * index + number * 1000, 0.05, 0.95 * campaign.seconds)
        strike(process, folder, how, where if number == 0 else 0, moment)
        if not waited(lambda p=process: p.poll() is not None):
            kill_family(process.pid)
            row.blame("hung", f"trial {index} did not end after {how} ({_WHERE[where]})")
            return
        judge_interrupted(campaign, folder, row, f"trial {index}, {_WHERE[where]} at {moment:.2f} s")
    process = campaign.start(folder)
    if not waited(lambda: process.poll() is not None):
        kill_family(process.pid)
        row.blame("hung", f"trial {index} did not end after it was continued")
        return
    judge_finished(campaign, folder, row, f"trial {index}, {_WHERE[where]}", process.poll())
    if len(row.notes) == before:
        shutil.rmtree(folder)
    else:
        keep = Path(tempfile.gettempdir()) / "reliability-kill"
        shutil.copytree(folder, keep / folder.name, dirs_exist_ok=True)


def strike(process: RunProcess, folder: Path, how: str, where: int, moment: float) -> None:
    """Wait for the moment, then kill."""
    end = time.monotonic() + _PATIENCE

    def over() -> bool:
        return process.poll() is not None or time.monotonic() > end

    match where:
        case 0:
            waited(lambda: process.poll() is not None, moment)
        case 1:
            waited(lambda: process.poll() is not None, moment / 20)
        case 2:  # the next half-written checkpoint, after a while
            waited(lambda: process.poll() is not None, moment / 2)
            while not over() and not list(folder.glob("runs/*/*.partial")):
                pass
        case _:  # the next growth of W&B's file, after a while
            waited(lambda: process.poll() is not None, moment / 2)
            size = bytes_written(folder)
            while not over() and bytes_written(folder) == size:
                time.sleep(0.001)
    members = family(process.pid)
    match how:
        case "SIGKILL of everything":
            kill_family(process.pid)
        case "SIGKILL of the training":
            process.send_signal(signal.SIGKILL)
        case "SIGTERM":
            process.send_signal(signal.SIGTERM)
        case _:
            named = "training.background" if how == _WORKER else "wandb-core"
            for pid in members[1:]:
                with suppress(OSError):
                    if named in Path(f"/proc/{pid}/cmdline").read_text():
                        os.kill(pid, signal.SIGKILL)
    waited(lambda: not any(alive(pid) for pid in members), 20 if how in _HOW[:3] else 120)


def bytes_written(folder: Path) -> int:
    """Size of all files of W&B's log."""
    return sum(path.stat().st_size for path in folder.glob("wandb/*/*.wandb"))


def judge_interrupted(campaign: Campaign, folder: Path, row: Row, what: str) -> None:
    """After a kill: no half checkpoint, no wrong number, and the run is known if it wrote anything."""
    for path in folder.glob("runs/*/*.ckpt"):
        try:
            torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            row.blame("wrong", f"{what}: {path.name} does not load: {error}")
    try:
        found = read_offline(folder)
    except UserError as error:
        if list(folder.glob("wandb/*run-*")):
            row.blame("lost", f"{what}: not reported: {error}")
        return
    assert campaign.truth is not None
    for run in found.runs:
        if difference := differences(figures(run), campaign.truth):
            row.blame("wrong", f"{what}: {difference}")
        if run.state == "finished" and figures(run) != campaign.truth:
            row.blame("wrong", f"{what}: called finished with {len(run.milestones)} milestones")
    if not found.runs and not found.unreadable:
        row.blame("lost", f"{what}: the run is not reported")


def judge_finished(campaign: Campaign, folder: Path, row: Row, what: str, status: int | None) -> None:
    """At the end: all milestones, and the weights, are those of the undisturbed run."""
    log = (folder / "output.log").read_text(errors="replace")
    if status != 0:
        row.blame("wrong", f"{what}: continuing ended with {status}: {log[-2000:]}")
        return
    if "Traceback" in log:
        row.blame("wrong", f"{what}: a traceback was shown: {log[-2000:]}")
    try:
        (run,) = read_offline(folder).runs
    except (UserError, ValueError) as error:
        row.blame("lost", f"{what}: the run is not to be read: {error}")
        return
    assert campaign.truth is not None
    found = figures(run)
    if missing := campaign.truth.keys() - found.keys():
        row.blame("lost", f"{what}: milestones {sorted(missing)}")
    if difference := differences(found, campaign.truth):
        row.blame("wrong", f"{what}: {difference}")
    if run.state != "finished":
        row.blame("wrong", f"{what}: the run is {run.state} ({run.detail})")
    assert campaign.weights is not None
    weights = last_weights(folder)
    if weights.keys() != campaign.weights.keys() or not all(
        torch.equal(weights[name], campaign.weights[name]) for name in weights
    ):
        row.blame("wrong", f"{what}: other weights")
    if left := [path.name for path in folder.glob("runs/*/*.partial")]:
        print(f"  {what}: {left} stayed", file=sys.stderr)


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of the last checkpoint."""
    path = max(folder.glob("runs/*/milestone-*.ckpt"))
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def waited(condition: Callable[[], bool], seconds: float = _PATIENCE) -> bool:
    """Wait until something is so; False after too long."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


if __name__ == "__main__":
    sys.exit(main())
