import pytest

from selector.tracking.completion import marked_state, split_definition, unmarked_state


@pytest.mark.parametrize(
    ("summary", "state"),
    [
        ({"completion/status": "completed", "completion/epoch": 5}, ("finished", "")),
        (
            {"completion/status": "diverged", "completion/epoch": 3},
            ("diverged", "loss became nan or infinite in epoch 3"),
        ),
        ({"completion/status": "diverged"}, ("diverged", "loss became nan or infinite")),
        ({"completion/status": "half"}, None),
        ({"completion/status": ["completed"]}, None),
        ({"completion/epoch": 5}, None),
        ({}, None),
    ],
)
def test_marker(summary: dict[str, object], state: tuple[str, str] | None):
    assert marked_state(summary) == state


@pytest.mark.parametrize(
    ("exit_code", "wants_marker", "state"),
    [(0, False, "finished"), (0, True, "crashed"), (1, False, "failed"), (255, True, "failed")],
)
def test_an_end_without_a_marker(exit_code: int, wants_marker: bool, state: str):
    found, detail = unmarked_state(exit_code, wants_marker)
    assert found == state
    assert bool(detail) == (state != "finished")
    assert str(exit_code) in detail or state == "finished"


def test_definition_and_the_keys_of_wandb_leave_the_config():
    config = {"lr": 0.1, "_wandb": {"t": 1}, "definition": {"version": 1}}
    assert split_definition(config) == ({"lr": 0.1}, {"version": 1})
    assert config["definition"] == {"version": 1}  # the argument is left alone


def test_a_definition_of_somebody_else_is_a_hyperparameter():
    assert split_definition({"definition": "high"}) == ({"definition": "high"}, {})
