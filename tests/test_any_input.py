"""Whatever runs, a sweep, a configuration or a checkpoint hold: one of the stated errors, or sense."""

import copy
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
import yaml
from handmade import ACCURACY, RANKME, curve, run, sweep
from hypothesis import HealthCheck, example, given, settings, strategies as st

from selector.command_line import parse_config
from selector.config import TrainConfig
from selector.errors import UserError
from selector.export_file import read_records, write_records
from selector.reports.html import page_of
from selector.reports.report import report_of
from selector.selection.ranking import Ranking, rank
from selector.sweeping.search import random_config
from selector.sweeping.sweep_file import read_sweep_file
from selector.training.stored import read_stored

QUICK = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NUMBERS = st.one_of(st.integers(-3, 10**20), st.floats(), st.sampled_from(["nan", "-inf", "1e400", "0x1"]))
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=12))
NAMES = st.sampled_from(
    re.findall(
        r"\w+",
        "method parameters values value min max distribution probabilities name goal run_cap metric type s"
        " program command q mu sigma early_terminate",
    )
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(NAMES, st.text(max_size=5)), inner, max_size=4)
    ),
    max_leaves=8,
)
T = TypeVar("T")


def sense_of(read: Callable[[], T]) -> T | None:
    """What was read, or None where it was refused in one line; any other ending fails."""
    try:
        return read()
    except UserError as error:
        line = str(error)
    except SystemExit as stop:
        line = "wrong usage" if stop.code == 2 else f"status\n{stop.code}"
    assert "\n" not in line
    return None


@st.composite
def changed(draw: st.DrawFn, content: Any) -> Any:
    """Plain values of which up to three, anywhere, are others, gone or twice there."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        parent, key = None, None
        here = content
        while isinstance(here, (dict, list)) and here and (parent is None or draw(st.booleans())):
            key = draw(st.sampled_from(list(here) if isinstance(here, dict) else range(len(here))))
            parent, here = here, here[key]
        match draw(st.sampled_from(["other", "gone", "twice"])):
            case "gone":
                del parent[key]
            case "twice" if isinstance(parent, list):
                parent.append(copy.deepcopy(here))
            case _:
                parent[key] = draw(VALUES)
    return content


RUNS = sweep(
    run("a", milestones=curve((0, 1.0), (5, 2.5), accuracy=0.5), temperature=0.1, name="<script>a</script>"),
    run("b", milestones=curve((0, 1.5), (5, 3.5), accuracy=0.7), temperature=0.2),
    run("c", milestones=curve((5, 3.0)), state="crashed", detail="was killed"),
)


SOUND_RECORDS = json.loads(write_records(RUNS))


@QUICK
@given(content=changed(SOUND_RECORDS))
@example(content=SOUND_RECORDS)
def test_records_their_ranking_and_their_report(tmp_path: Path, content: Any):
    file = tmp_path / "runs.json"
    file.write_text(json.dumps(content))

    def ranked() -> tuple[Ranking, str]:
        runs = read_records(file)
        return rank(runs, RANKME), page_of(report_of(runs, RANKME, ACCURACY))

    if (found := sense_of(ranked)) is None:
        assert content != SOUND_RECORDS
        return
    ranking, page = found
    chosen_from = [one.run.id for group in ranking.groups for one in group.ranking]
    assert len(chosen_from) == len(set(chosen_from))
    assert content != SOUND_RECORDS or chosen_from == ["b", "a"]
    for group in ranking.groups:
        scores = [one.score for one in group.ranking]
        assert scores
        assert all(math.isfinite(score) for score in scores)
        assert scores == sorted(scores, reverse=True)
    assert "<script>a" not in page


SWEEP = {
    "program": "program.py",
    "method": "random",
    "metric": {"name": "label_free/rankme", "goal": "maximize"},
    "run_cap": 5,
    "early_terminate": {"type": "hyperband", "min_iter": 3, "s": 2},
    "parameters": {
        "a": {"distribution": "q_log_uniform_values", "min": 1, "max": 9, "q": 2},
        "b": {"values": [1, 2.5, "x", None], "probabilities": [0.2, 0.3, 0.2, 0.3]},
        "c": {"distribution": "normal", "mu": 0, "sigma": 1.0},
        "d": {"parameters": {"e": {"min": 0, "max": 3}, "f": {"value": True}}},
    },
}


@settings(QUICK, max_examples=250)
@given(content=changed(SWEEP), index=st.integers(0, 3))
@example(content=SWEEP, index=0)
def test_a_sweep_file_and_what_is_drawn_from_it(tmp_path: Path, content: Any, index: int):
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    def drawn() -> Any:
        found = read_sweep_file(file)
        return random_config(found.parameters, 0, index) if found.method == "random" else {}

    config = sense_of(drawn)
    assert config == sense_of(drawn)
    if config:
        assert config.keys() == content["parameters"].keys()
        assert json.loads(json.dumps(config, allow_nan=False)) == config
    else:
        assert content != SWEEP


@QUICK
@example(flags=[("learning_rate", 0.25), ("epochs", 7)])
@given(
    flags=st.lists(
        st.tuples(st.sampled_from([*TrainConfig.__dataclass_fields__, "no_such"]), PLAIN), max_size=4
    )
)
def test_the_configuration_of_a_run(flags: list[tuple[str, Any]]):
    config = sense_of(lambda: parse_config([f"--{name}={value}" for name, value in flags]))
    if config is None:
        assert flags != [("learning_rate", 0.25), ("epochs", 7)]
        return
    for name, value in dict(flags).items():
        held = getattr(config, name)
        assert str(held) == str(value) or held == float(value)


CHECKPOINT = {
    "epoch": 3,
    "global_step": 5,
    "train_config": {"method": "simclr", "epochs": 7, "seed": 0},
    "state_dict": {"backbone.0.weight": [1.0], "projector.0.weight": [2.0]},
    "loops": {"fit_loop": {"epoch_progress": {"total": {"processed": 4}, "current": {"processed": 4}}}},
}


@QUICK
@given(content=changed(CHECKPOINT))
@example(content=copy.deepcopy(CHECKPOINT))
def test_a_checkpoint_of_anything(tmp_path: Path, content: Any):
    file, sound = tmp_path / "milestone-0003.ckpt", content == CHECKPOINT
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content["state_dict"] = {
            name: torch.tensor(value) if value in ([1.0], [2.0]) else value
            for name, value in content["state_dict"].items()
        }
    torch.save(content, file)
    found = sense_of(lambda: read_stored(file))
    if found is None:
        assert not sound
        return
    assert type(found.epoch) is int
    assert found.path == file
    asked = {name: getattr(found.config, name) for name in content["train_config"]}
    assert asked == content["train_config"]
    assert not sound or found.epoch == 4  # Lightning counts from 0
    assert not sound or all(isinstance(tensor, torch.Tensor) for tensor in found.state.values())


@pytest.mark.parametrize("content", [b"\x00" * 100, b"PK\x03\x04", b"\x80\x02]q\x00."])
def test_no_checkpoint_at_all(tmp_path: Path, content: bytes):
    (tmp_path / "a.ckpt").write_bytes(content)
    with pytest.raises(UserError):
        read_stored(tmp_path / "a.ckpt")
