"""`selector demo`."""

from pathlib import Path


def demo(*, directory: Path = Path("selector-demo"), quiet: bool = False) -> int:
    """Train a small sweep on real images, rank it without labels, and say what the choice cost.

    Args:
        directory: Sweep folder; a second call with the same one goes on where the first stopped.
        quiet: Say only what went wrong, and the result.
    """
    from selector.demo import demo as show

    status: int = show(directory, quiet)
    return status
