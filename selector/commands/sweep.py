"""`selector sweep`."""

import shlex
from pathlib import Path

from selector.commands.arguments import File
from selector.text import counted, printable


def sweep(
    file: File,
    /,
    *,
    count: int | None = None,
    directory: Path | None = None,
    jobs: int = 1,
    seed: int | None = None,
    storage: str | None = None,
    quiet: bool = False,
    check: bool = False,
) -> int:
    """Run a W&B sweep file without a server; the same command on other machines shares the sweep.

    A later call continues where the first stopped. All machines need the sweep folder, on a shared file
    system, or a database (--storage).

    Args:
        file: A W&B sweep file.
        count: Total number of runs, over all calls; None: as an earlier call said, or else the file.
        directory: Sweep folder for runs, logs and checkpoints; None: sweep-<name of the file>, or the
            folder of the file, if that is a sweep folder.
        jobs: How many runs train at the same time; they share the cores.
        seed: Seed of the search; None: that of an earlier call, else 0.
        storage: URL of a database that keeps the ledger, such as postgresql://user@host/name; None: a file in
            the sweep folder.
        quiet: Print only errors and the result.
        check: Run nothing; show how many runs there are, what varies, which words YAML misreads, and, from a
            few timed steps, how long it would take.
    """
    if check:
        from selector.sweeping import check as checking

        for line in checking.check(file, count, seed or 0, jobs):
            print(printable(line))
        return 0
    from selector.reports.sweep_progress import SweepBar
    from selector.sweeping.agent import run_sweep
    from selector.sweeping.state import JOURNAL, STORAGE

    beside = any((file.parent / name).exists() for name in (JOURNAL, STORAGE))
    where = directory or (file.parent if beside else Path(f"sweep-{file.stem}"))
    with SweepBar(quiet=quiet) as bar:
        state = run_sweep(file, where, count, jobs, seed, reporter=bar, storage=storage)
    elsewhere = sum(run.status == "running" for run in state.runs)
    others = f", {elsewhere} still running elsewhere" if elsewhere else ""
    print(f"{counted(state.done, 'run')} done, {state.failed} failed{others} in {printable(str(where))}")
    if state.done:
        print(f"next: selector rank {shlex.quote(printable(str(where)))}")
    return 1 if state.failed else 0
