"""Ctrl-C and its kin, noticed instead of obeyed: the runs are to end cleanly first."""

import signal
import threading
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Counts the signals that ask this process to stop, while it is entered.

    Attributes:
        count: How many came.
        signum: The last one.
    """

    def __init__(self) -> None:
        self.count = 0
        self.signum = signal.SIGINT
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        # Python lets only the main thread take signals; elsewhere whoever owns them decides.
        if threading.current_thread() is threading.main_thread():
            for signum in _SIGNALS:
                if signal.getsignal(signum) is not signal.SIG_IGN:  # as nohup does
                    self._handlers[signum] = signal.signal(signum, self._notice)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)

    def _notice(self, signum: int, _: FrameType | None) -> None:
        self.count += 1
        self.signum = signal.Signals(signum)

    @property
    def signal_for_runs(self) -> signal.Signals:
        """What the runs are sent: the signal itself, at the second one SIGTERM, then SIGKILL."""
        match self.count:
            case 1:
                return self.signum
            case 2:
                return signal.SIGTERM
            case _:
                return signal.SIGKILL
