"""What a long step is at, on one line of the terminal."""

import shutil
import sys
from types import TracebackType
from typing import TextIO

from selector.text import printable


class StepLine:
    """A line on stderr that is written over and gone in the end; nothing where no terminal is. A context."""

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        """Nothing is shown before the first text.

        Args:
            quiet: Show nothing at all.
            stream: Where to; None: stderr.
        """
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty() and not quiet
        self._written = False

    def __enter__(self) -> "StepLine":
        return self

    def __call__(self, text: str) -> None:
        """Shows a text in the place of the last one, cut to the width of the terminal."""
        if self._shown:
            room = shutil.get_terminal_size().columns - 1  # a full line would move the cursor to the next
            self._write(printable(text)[:room])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._written:
            self._write("")

    def _write(self, text: str) -> None:
        self._written = True
        print(f"\r\x1b[K{text}", end="", file=self._stream, flush=True)
