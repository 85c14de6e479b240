"""What a path is, before it is opened."""

from pathlib import Path
from stat import S_ISREG


def is_regular(path: Path) -> bool:
    """Whether it is a file, links followed; a named pipe would be waited for without end.

    Raises:
        OSError: There is nothing, or it cannot be looked at.
    """
    return S_ISREG(path.stat().st_mode)
