"""Runs of train.py killed at random moments and continued, against the run that nobody disturbed.

    python benchmarks/reliability/kill.py [--trials 100] [--background]

Each trial starts a tiny training (milestones before and after each of three epochs), kills it once or twice
and continues it: at moments spread over its whole life, within its first seconds, while a checkpoint is being
written, while W&B's file grows; by SIGKILL of everything (a machine that dies), of the training alone, of
W&B's service alone, and by SIGTERM. After each kill every checkpoint must load, and what can be read must be
true; at the end all milestones must be there with the very bits of the undisturbed run. With --background the
milestones are evaluated by another process, as on a machine with a GPU, which is killed in its turn.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
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
    options,
    print_table,
)

from selector.errors import UserError
from selector.sweeping.processes import ForkServer, RunProcess
from selector.tracking.offline import read_offline

_PATIENCE = 300.0  # seconds for what takes ten
_WHERE = ("any moment", "the first second", "writing a checkpoint", "writing W&B's file")
_IN_BACKGROUND = Path(__file__).with_name("train_in_background.py")
_WORKER = "SIGKILL of the evaluating process"
_HOW = ("SIGKILL of everything", "SIGKILL of the training", "SIGTERM", "SIGKILL of W&B's service")


class Campaign:
    """What all trials have in common: where they are, what they execute, and how it goes undisturbed."""

    def __init__(self, root: Path, program: Path) -> None:
        """Have the imports done, and run once without disturbance."""
        self.root, self.program = root, program
        log = self.root / "imports.log"
        self.starter = ForkServer(offline(self.root), log)
        assert self.starter.wait_until_ready(lambda: False), log.read_text()
        folder, began = self.root / "undisturbed", time.monotonic()
        process = self.start(folder)
        if not ended(process) or process.poll() != 0:
            raise SystemExit((folder / "output.log").read_text())
        self.seconds = time.monotonic() - began
        (run,) = read_offline(folder).runs
        assert run.state == "finished"
        self.truth, self.weights = figures(run), last_weights(folder)

    def start(self, folder: Path, log: Path | None = None, **more: str) -> RunProcess:
        """Start, or continue, the run of a folder."""
        folder.mkdir(exist_ok=True)
        arguments = [*flags(TINY | more), "--resume=True"]
        log = log or folder / "output.log"
        return self.starter.start(str(self.program), arguments, offline(folder), log)


def main() -> int:
    """Run the campaign, print its rows."""
    asked = options(__doc__, trials=100, background=False)
    program, ways, title = (TRAIN, _HOW, "training")
    if asked.background:
        program, ways, title = (_IN_BACKGROUND, (*_HOW, _WORKER), "milestones in the background")
    rows = {how: Row(f"{title}: {how}") for how in ways}
    with tempfile.TemporaryDirectory() as name:
        campaign = Campaign(Path(name), program)
        for index in range(asked.trials):
            trial(campaign, index, ways, rows[ways[index % len(ways)]])
    return print_table(list(rows.values()))


def trial(campaign: Campaign, index: int, ways: Sequence[str], row: Row) -> None:
    """Kill and continue one run, and judge it."""
    folder, drawn = campaign.root / f"trial-{index}", random.Random(index)
    how, where = ways[index % len(ways)], index // len(ways) % len(_WHERE)
    what = f"trial {index}, {how}, {_WHERE[where]}"
    row.trials += 1
    before = len(row.notes)
    for place in (where, 0)[: 1 + (drawn.random() < 0.3)]:
        process = campaign.start(folder)
        moment = drawn.uniform(0.05, 0.95 * campaign.seconds)
        strike(process, folder, how, place, moment)
        if end_of(process, row, what) is None:
            return
        judge_interrupted(campaign, folder, row, f"{what} at {moment:.2f} s")
    if (status := end_of(campaign.start(folder), row, what)) is None:
        return
    judge_finished(campaign, folder, row, what, status)
    if len(row.notes) == before:
        shutil.rmtree(folder)
    else:
        keep = Path(tempfile.gettempdir()) / "reliability-kill"
        shutil.copytree(folder, keep / folder.name, dirs_exist_ok=True)


def end_of(process: RunProcess, row: Row, what: str) -> int | None:
    """Its exit status; None of one that did not end by itself."""
    if ended(process):
        return process.poll()
    kill_family(process.pid)
    row.blame("hung", what)
    return None


def strike(process: RunProcess, folder: Path, how: str, where: int, moment: float) -> None:
    """Wait for the moment, then kill."""
    ended(process, moment / (1, 20, 2, 2)[where])
    size = bytes_written(folder)
    match _WHERE[where]:
        case "writing a checkpoint":
            waited(lambda: process.poll() is not None or any(folder.glob("runs/*/*.partial")), pause=0)
        case "writing W&B's file":
            waited(lambda: process.poll() is not None or bytes_written(folder) != size, pause=0.001)
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
    for run in found.runs:
        if difference := differences(figures(run), campaign.truth):
            row.blame("wrong", f"{what}: {difference}")
        if run.state == "finished" and figures(run) != campaign.truth:
            row.blame("wrong", f"{what}: called finished with {len(run.milestones)} milestones")
    if not found.runs and not found.unreadable:
        row.blame("lost", f"{what}: the run is not reported")


def judge_finished(campaign: Campaign, folder: Path, row: Row, what: str, status: int) -> None:
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
    found = figures(run)
    if missing := campaign.truth.keys() - found.keys():
        row.blame("lost", f"{what}: milestones {sorted(missing)}")
    if difference := differences(found, campaign.truth):
        row.blame("wrong", f"{what}: {difference}")
    if run.state != "finished":
        row.blame("wrong", f"{what}: the run is {run.state} ({run.detail})")
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


def ended(process: RunProcess, seconds: float = _PATIENCE) -> bool:
    """Wait for the end of a process; False after too long."""
    return waited(lambda: process.poll() is not None, seconds)


def waited(condition: Callable[[], bool], seconds: float = _PATIENCE, pause: float = 0.01) -> bool:
    """Wait until something is so; False after too long."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


if __name__ == "__main__":
    sys.exit(main())
