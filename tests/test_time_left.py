import pytest

from selector.time_left import TimeLeft


def test_what_is_left_is_judged_by_what_is_done(monkeypatch: pytest.MonkeyPatch):
    clock = iter([100.0, 130.0, 130.0])
    monkeypatch.setattr("selector.time_left.time.monotonic", lambda: next(clock))
    left = TimeLeft()
    assert left.after(0, 4) == ""
    # 1 of 4 took 30 s: 3 more take 90 s
    assert left.after(1, 4) == ", 0:01:30 left"
    assert left.rate(60) == 2.0
