"""SIGTERM and Ctrl-C: obeyed where nothing is lost, and otherwise as soon as a checkpoint is written.

Schedulers announce that they take a node back by SIGTERM, SIGUSR1 or SIGUSR2; all three count as SIGTERM.
"""

import signal
import threading
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


class Stopped(SystemExit):
    """The run was told to stop; the exit status is that of a process that the signal has ended."""

    def __init__(self, signum: signal.Signals) -> None:
        super().__init__(128 + signum)
        self.signum = signum


class StopSignals:
    """Takes the signals that ask this process to stop, while it is entered.

    They raise `Stopped` at once, unless they are held: then whoever holds them calls `obey` at the next safe
    place. A second Ctrl-C comes from someone who does not want to wait: it raises anywhere.

    Attributes:
        received: The first signal that came, or None.
        holding: Whether signals wait.
        follows: Whether another process of the same run decides when to stop. Then a first signal is not
            heeded at all: a scheduler sends it to every process, and the other one needs this one to go on.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.holding = False
        self.follows = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        for signum in _SIGNALS:
            handler = signal.getsignal(signum)
            if handler is not signal.SIG_IGN:  # as nohup does
                self._before[signum] = handler
        self.install()
        return self

    def __exit__(self, *_: object) -> None:
        if _in_main_thread():
            for signum, handler in self._before.items():
                signal.signal(signum, handler)

    def install(self) -> None:
        """Take the signals, again where a library has put itself in between."""
        if _in_main_thread():
            for signum in self._before:
                signal.signal(signum, self._receive)

    def release(self) -> None:
        """Obey what has come, and from now on at once."""
        self.obey()
        self.holding = False

    def obey(self) -> None:
        """Raise `Stopped` where a signal has come."""
        if self.received is not None and not self.follows:
            raise Stopped(self.received)

    def _receive(self, signum: int, _: FrameType | None) -> None:
        again = self.received is not None
        kind = signal.SIGINT if signum == signal.SIGINT else signal.SIGTERM
        self.received = self.received or kind
        impatient = again and (signum == signal.SIGINT or self.follows)
        if impatient or not (self.holding or self.follows):
            raise Stopped(self.received)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()  # Python lets no other one take signals
