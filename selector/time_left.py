"""How long a long step will still take."""

import time
from datetime import timedelta


class TimeLeft:
    """Estimates the time of a step's other parts from the time that its first parts took."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def after(self, done: int, total: int) -> str:
        """Such as ", 0:04:10 left"; empty before anything is done.

        Args:
            done: Parts that are done.
            total: Parts in all.
        """
        if not done:
            return ""
        seconds = (time.monotonic() - self._started) * (total - done) / done
        return f", {timedelta(seconds=round(seconds))} left"

    def rate(self, done: int) -> float:
        """Parts a second, when so many are done."""
        return done / max(time.monotonic() - self._started, 1e-9)
