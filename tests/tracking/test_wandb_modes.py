"""Settings that wandb does not take."""

import os

import pytest
import wandb

from selector.errors import UserError
from selector.tracking.connection import settings_of_wandb


def test_a_setting_is_named_and_its_value_is_not():
    with pytest.raises(UserError, match="refuses a setting") as refusal, settings_of_wandb():
        wandb.Settings(api_key=["secret"])
    assert "api_key" in str(refusal.value)
    assert "secret" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_empty_mode_is_no_mode(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_MODE", "")
    with settings_of_wandb():
        assert "WANDB_MODE" not in os.environ
