import os
import signal

import pytest

from selector.sweeping.interruption import Interruption


@pytest.fixture(autouse=True)
def handlers():
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for signum in before:
        signal.signal(signum, signal.default_int_handler)
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_further_signal_presses_harder(signum):
    with Interruption() as interruption:
        assert interruption.count == 0
        sent = []
        for _ in range(4):
            os.kill(os.getpid(), signum)
            sent.append(interruption.signal_for_runs)
        assert sent == [signum, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL]
        assert (interruption.count, interruption.signum) == (4, signum)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signum)


def test_a_signal_that_is_ignored_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGHUP)
        assert interruption.count == 0
