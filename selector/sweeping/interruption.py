"""Stop signals for a sweep."""

import signal
import threading
from types import FrameType
from typing import Any

from selector.errors import UserError


class Interrupted(UserError):
    """The sweep was told to stop; the same call continues it."""

    def __init__(self, message: str, signum: signal.Signals) -> None:
        super().__init__(message)
        self.exit_status = 128 + signum


class Interruption:
    """Ctrl-C and other stop signals, counted instead of obeyed inside: the runs must end cleanly first.

    Attributes:
        count: How many came.
        signum: The last one.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

    def __init__(self) -> None:
        self.count = 0
        self.signum = signal.SIGINT
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        # Python lets only the main thread take signals; elsewhere whoever owns them decides.
        if threading.current_thread() is threading.main_thread():
            for signum in self._SIGNALS:
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
        """What the runs are sent: Ctrl-C as it is, SIGTERM for any other or a second signal, then SIGKILL."""
        match self.count, self.signum:
            case 1, signal.SIGINT | signal.SIGHUP:
                return self.signum
            case 1 | 2, _:
                return signal.SIGTERM
            case _:
                return signal.SIGKILL
