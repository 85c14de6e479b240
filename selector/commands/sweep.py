"""`selector sweep`."""

import shlex
from pathlib import Path

from selector.commands.arguments import File
from selector.text import printable


def sweep(
    file: File,
    /,
    *,
    count: int | None = None,
    directory: Path | None = None,
    jobs: int = 1,
    seed: int | None = None,
    quiet: bool = False,
) -> int:
    """Run a W&B sweep file on this machine, without a server; a second call goes on where the first stopped.

    Args:
        file: A W&B sweep file.
        count: Runs in all, over all calls; None: what the file says.
        directory: Sweep folder for runs, logs and checkpoints; None: sweep-<name of the file>, or where the
            file lies if that is a sweep folder.
        jobs: Runs at the same time; they share the cores.
        seed: Seed of the search; None: that of an earlier call, else 0.
        quiet: Say only what went wrong, and the result.
    """
    from selector.reports.sweep_progress import SweepBar
    from selector.sweeping.local_agent import run_sweep

    beside = file.parent if (file.parent / "ledger.json").exists() else Path(f"sweep-{file.stem}")
    where = directory or beside
    with SweepBar(quiet=quiet) as bar:
        progress = run_sweep(file, where, count, jobs, seed, reporter=bar)
    print(f"{progress.done} runs done, {progress.failed} failed in {printable(str(where))}")
    print(f"next: selector rank {shlex.quote(printable(str(where)))}")
    return 1 if progress.failed else 0
