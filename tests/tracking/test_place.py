"""What a user may name on a W&B server, and settings that wandb does not take."""

import os

import pytest
import wandb

from selector.errors import UserError
from selector.tracking.connection import Place, places_named, service_of, settings_of_wandb

SWEEP = Place("team", "project", sweep="abc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("team/project/abc", SWEEP),
        ("team/project/abc/", SWEEP),
        ("team/project/sweeps/abc", SWEEP),
        (" /team/project/ ", Place("team", "project")),
        ("team/My Project", Place("team", "My Project")),
        ("team/project/table", Place("team", "project")),
        (
            "https://wandb.ai/team/project/sweeps/abc?nw=nwuser#charts",
            Place("team", "project", sweep="abc", host="wandb.ai"),
        ),
        ("https://wandb.ai/team/my%20project", Place("team", "my project", host="wandb.ai")),
        (
            "https://forge.coreweave.com/wandb/team/project/sweeps/abc",
            Place("team", "project", sweep="abc", host="forge.coreweave.com"),
        ),
        (
            "http://127.0.0.1:8080/team/project/groups/night/workspace",
            Place("team", "project", group="night", host="127.0.0.1"),
        ),
        ("https://wandb.ai/team/project/workspace", Place("team", "project", host="wandb.ai")),
        ("https://wandb.ai/wandb/project", Place("wandb", "project", host="wandb.ai")),
    ],
)
def test_paths_and_urls(text: str, expected: Place):
    assert places_named(text, {}) == (expected,)


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("abc", {"WANDB_ENTITY": "team", "WANDB_PROJECT": "project"}, (SWEEP,)),
        ("abc", {"WANDB_PROJECT": "project"}, (Place("", "project", sweep="abc"),)),
        ("project/abc", {"WANDB_ENTITY": "team"}, (Place("project", "abc"), SWEEP)),
        ("team/project/abc", {"WANDB_ENTITY": "other", "WANDB_PROJECT": "other"}, (SWEEP,)),
    ],
)
def test_short_forms_that_wandb_itself_takes(
    text: str, environment: dict[str, str], expected: tuple[Place, ...]
):
    assert places_named(text, environment) == expected


@pytest.mark.parametrize(
    "text", ["", "abc", "a/b/c/d", "https://wandb.ai", "https://wandb.ai/team", "https://wandb.ai/t/p/abc"]
)
def test_what_is_neither_is_refused(text: str):
    with pytest.raises(UserError, match="is not a sweep or project: name a sweep as entity/project/sweep_id"):
        places_named(text, {})


def test_a_run_is_told_from_a_sweep():
    with pytest.raises(UserError, match="is the run x1, not a sweep"):
        places_named("https://wandb.ai/team/project/runs/x1/overview")


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("wandb.ai", "cloud"),
        ("api.wandb.ai", "cloud"),
        ("api.forge.coreweave.com", "cloud"),
        ("evilwandb.ai", "evilwandb.ai"),
        ("wandb.example.org", "wandb.example.org"),
    ],
)
def test_services(host: str, service: str):
    assert service_of(host) == service


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
