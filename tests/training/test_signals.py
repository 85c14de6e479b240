import os
import signal

import pytest

from selector.training.stopping import Stopped, StopSignals


@pytest.mark.parametrize(
    ("sent", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 143), (signal.SIGUSR2, 143)],
)
def test_what_schedulers_send_counts_as_sigterm(sent, status):
    before = signal.getsignal(sent)
    with StopSignals() as signals:
        with signals.held():  # nothing happens in the middle of a step
            os.kill(os.getpid(), sent)
            assert signals.received is not None
            held, signals.received = signals.received, None
        with pytest.raises(Stopped) as stop:
            os.kill(os.getpid(), sent)
    assert (held, stop.value.code) == (stop.value.signum, status)
    assert signal.getsignal(sent) is before
