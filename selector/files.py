"""What a path is before it is opened, who holds its lock, and when its name is safe."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

from selector.errors import UserError
from selector.text import printable


def is_regular(path: Path) -> bool:
    """Whether it is a file, links followed; reading a named pipe would wait forever.

    Raises:
        OSError: There is nothing, or it cannot be looked at.
    """
    return S_ISREG(path.stat().st_mode)


def is_locked(path: Path) -> bool | None:
    """Whether a process holds the lock of a file; it is only looked at. None where there are no locks."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


def flush_folder(folder: Path) -> None:
    """Bring the name of a new file, or a renaming, to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write, flush to disk, rename: a reader sees a whole file or none. After a failure, no part is left.

    Raises:
        OSError: It cannot be written, as on a full disk.
    """
    partial = path.with_suffix(".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise
    flush_folder(path.parent)


def refuse_existing(folder: Path) -> None:
    """Stop before any work is done for a folder that would be written over.

    Raises:
        UserError: There is something of that name.
    """
    if folder.exists() or folder.is_symlink():
        raise UserError(f"{printable(str(folder))!r} exists: name a new folder for the export")
