"""What this process may use of its machine."""

import os


def usable_cores() -> int:
    """CPU cores that it may run on: SLURM, taskset and containers often allow fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
