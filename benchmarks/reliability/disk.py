"""A disk that is full while a run saves or logs, or a sweep writes its ledger.

    python benchmarks/reliability/disk.py

Needs the right to mount a small tmpfs (root). On it a tiny training runs out of room for its checkpoints, for
W&B's files, for both; so does a sweep's journal. Each must end with one clear line, or go on; what was saved
before must be whole; and when there is room again, the same command must bring the run to the milestones and
weights of one that had room all the time.
"""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kill import Campaign, end_of, judge_finished, judge_interrupted
from trials import TRAIN, Row, print_table

from selector.sweeping.state import Agent, read_sweep
from selector.sweeping.storage import Ledger
from selector.tracking.offline import read_offline

# A checkpoint takes 210 kB, an empty run of W&B 30 kB, and a milestone of it 10 kB.
KILOBYTES = (10, 100, 230, 330, 450)


def main() -> int:
    """Fill the disk in all places, print the rows."""
    rows = [Row("disk full: checkpoints"), Row("disk full: W&B's files"), Row("disk full: both")]
    ledger = Row("disk full: a sweep's journal")
    with tempfile.TemporaryDirectory() as name, small_disk(Path(name) / "small") as small:
        fill_ledger(small, ledger)
        campaign = Campaign(Path(name), TRAIN)
        for kilobytes in KILOBYTES:
            for row, where in zip(rows, ("runs", "wandb", "both"), strict=True):
                trial(campaign, small, kilobytes, where, row)
    return print_table([*rows, ledger])


def trial(campaign: Campaign, small: Path, kilobytes: int, where: str, row: Row) -> None:
    """One run for which so much room is left, and its continuation."""
    what = f"{kilobytes} kB left for {where}"
    row.trials += 1
    folder, outside = small / "trial", campaign.root / f"{where}-{kilobytes}"
    if where == "runs":
        folder, outside = outside, folder
    folder.mkdir()
    if where != "both":
        outside.mkdir()
        (folder / "runs").symlink_to(outside)
    filler, log = fill(small, kilobytes), campaign.root / f"{where}-{kilobytes}.log"
    status = end_of(campaign.start(folder, log, keep="all"), row, what)
    text = log.read_text(errors="replace")
    if "Traceback" in text:
        row.blame("wrong", f"{what}: a traceback: {text[text.index('Traceback') :][:3000]}")
    said = [line for line in text.splitlines() if line.startswith("train.py: ")]
    if status != 0 and not said:
        row.blame("wrong", f"{what}: ended with {status} and said nothing: {text[-500:]}")
    print(f"  {what}: exit {status}: {said}", file=sys.stderr, flush=True)
    judge_interrupted(campaign, folder, row, what)
    if status == 0 and [run.state for run in read_offline(folder).runs] != ["finished"]:
        row.blame("wrong", f"{what}: ended with 0 and cannot be read as finished")
    filler.unlink()
    status = end_of(campaign.start(folder, log, keep="all"), row, what)
    shutil.move(log, folder / "output.log")
    if status is not None:
        judge_finished(campaign, folder, row, what, status)
    shutil.rmtree(small / "trial")


def fill_ledger(small: Path, row: Row) -> None:
    """A ledger that has no room for one more run is an error of the system, and that of before is whole."""
    for index in range(20):
        row.trials += 1
        folder = small / f"sweep-{index}"
        folder.mkdir()
        ledger = Ledger(folder, None, 1, None, {"method": "grid"})
        filler = fill(small, 4 * (index % 5))
        before = ledger.state
        try:
            for number in range(1000):
                run = ledger.begin(Agent("aaaaaaaa", "here"))
                before = ledger.note(run, config={"lr": number / 100}) and ledger.state
            row.blame("wrong", f"trial {index}: more was written than there is room for")
        except OSError as error:
            if error.errno != errno.ENOSPC:
                row.blame("wrong", f"trial {index}: {error}")
        found = read_sweep(folder)
        if found is None or found.runs[: len(before.runs)] != before.runs:
            row.blame("lost", f"trial {index}: the ledger is another")
        filler.unlink()
        ledger.plan(300)  # there is room again
        shutil.rmtree(folder)


def fill(small: Path, kilobytes: int) -> Path:
    """Leave so much room."""
    room = os.statvfs(small)
    filler = small / "filler"
    filler.write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - 1024 * kilobytes)))
    return filler


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


if __name__ == "__main__":
    sys.exit(main())
