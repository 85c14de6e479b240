"""The W&B backend of these tests: that it says no where it should, and follows W&B's rules where it can."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from loopback import Backend
from loopback.graph import execute, snake
from loopback.operations import NotFound
from loopback.records import Sweep


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("query Q { nothing }", "'Query' object has no attribute 'nothing'"),
        ('query Q { project(name: "p") { run(name: "x") { nothing } } }', "'Run' object has no attribute"),
        ('query Q { project(name: "p") { run(name: "x", nothing: 1) { id } } }', "argument 'nothing'"),
        ("mutation M { explode(input: {}) }", "'Mutation' object has no attribute 'explode'"),
        ('mutation M { stopRun(input: {id: "x", nothing: 1}) { success } }', "argument 'nothing'"),
        ('mutation M { upsertBucket(input: {name: "x", nothing: 1}) { inserted } }', "a run has no nothing"),
        ('mutation M { stopRun(input: {id: "x"}) { success } }', "no run with the id x"),
        ("query Q {", "Syntax Error"),
        ('query Q { project(name: "p") { runCount(filters: "{\\"nothing\\": 1}") } }',
         "filter on an unknown field: nothing"),
    ],
)  # fmt: skip
def test_what_is_unknown_is_an_error(backend: Backend, query: str, message: str):
    backend.run("p", "x", [])
    answer = execute(backend.store, query, {}, "")
    assert message in answer["errors"][0]["message"]


def test_an_empty_operation_name_means_none(backend: Backend):
    for name in ("", None, "A"):
        answer = execute(backend.store, "query A { viewer { entity } }", {}, name)
        assert answer == {"data": {"viewer": {"entity": "loopback"}}}
    assert "errors" in execute(backend.store, "query A { viewer { entity } }", {}, "B")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("runCount", "run_count"),
        ("clientIDMapping", "client_id_mapping"),
        ("artifactID", "artifact_id"),
        ("id", "id"),
    ],
)
def test_names_in_snake_case(name: str, expected: str):
    assert snake(name) == expected


# Sweeps, as an agent asks for work: without its processes.


class Worker:
    """An agent that does as it is told: it starts what it is given, and ends it when the test says so."""

    def __init__(self, backend: Backend, sweep: Sweep) -> None:
        self.store = backend.store
        asked = f'host: "h", sweep: "{sweep.name}", projectName: "p"'
        (self.id,) = self._ask(f"createAgent(input: {{{asked}}}) {{ agent {{ id }} }}", "agent").values()

    def beat(self, *running: str) -> list[dict[str, Any]]:
        state = json.dumps(json.dumps(dict.fromkeys(running, True)))
        asked = f'agentHeartbeat(input: {{id: "{self.id}", runState: {state}}}) {{ commands }}'
        return list(json.loads(self._ask(asked, "commands")))

    def _ask(self, mutation: str, field: str) -> Any:
        (answer,) = execute(self.store, f"mutation M {{ {mutation} }}", {}, "")["data"].values()
        return answer[field]


def init(backend: Backend, name: str) -> None:
    """What wandb.init does in a run's process."""
    asked = f'name: "{name}", modelName: "p", entityName: "loopback"'
    query = f"mutation M {{ upsertBucket(input: {{{asked}}}) {{ inserted }} }}"
    assert "errors" not in execute(backend.store, query, {}, "")


def test_a_random_search_up_to_its_cap(backend: Backend):
    config = {
        "method": "random",
        "run_cap": 3,
        "program": "train.py",
        "parameters": {
            "lr": {"distribution": "log_uniform_values", "min": 0.01, "max": 1.0},
            "depth": {"distribution": "int_uniform", "min": 2, "max": 4},
            "optimizer": {"parameters": {"name": {"values": ["sgd", "adam"]}}},
        },
    }
    sweep = backend.sweep("p", json.dumps(config))
    worker = Worker(backend, sweep)
    drawn = []
    for _ in range(3):
        (command,) = worker.beat()
        assert (command["type"], command["program"]) == ("run", "train.py")
        drawn.append({name: wrapped["value"] for name, wrapped in command["args"].items()})
        init(backend, command["run_id"])
        assert worker.beat(command["run_id"]) == []  # one run at a time
        backend.store.end_run(backend.project("p").bucket_by_name[command["run_id"]], 0)
    assert worker.beat() == [{"type": "exit"}]
    assert all(0.01 <= values["lr"] <= 1 and values["depth"] in (2, 3, 4) for values in drawn)
    assert all(values["optimizer"]["name"] in ("sgd", "adam") for values in drawn)
    assert len({values["lr"] for values in drawn}) == 3
    assert sweep.state == "FINISHED"
    assert [run.state for run in sweep.run_list] == ["finished"] * 3


def test_a_lost_run_crashes_and_a_preempted_one_comes_back(backend: Backend):
    sweep = backend.sweep("p", "program: t.py\nmethod: grid\nparameters: {a: {values: [1, 2]}}")
    worker, other = Worker(backend, sweep), Worker(backend, sweep)
    (lost,), (preempted,) = worker.beat(), other.beat()
    for command in (lost, preempted):
        init(backend, command["run_id"])
    first, second = sweep.run_list
    second.preempting = True
    backend.store.silence = 0.05
    time.sleep(0.1)
    # Neither process nor agent says anything more: the node is gone, and a third agent takes over.
    third = Worker(backend, sweep)
    assert third.beat() == [{**preempted, "type": "resume"}]
    assert (first.state, second.state) == ("crashed", "preempted")
    init(backend, second.name)
    backend.store.end_run(second, 0)
    assert third.beat() == [{"type": "exit"}]
    assert (second.state, sweep.state) == ("finished", "FINISHED")


def test_agents_wait_for_a_run_that_may_yet_be_preempted(backend: Backend):
    sweep = backend.sweep("p", "program: t.py\nmethod: grid\nparameters: {a: {values: [1]}}")
    worker, idle = Worker(backend, sweep), Worker(backend, sweep)
    (command,) = worker.beat()
    init(backend, command["run_id"])
    assert idle.beat() == []
    backend.store.end_run(sweep.run_list[0], 0)
    assert idle.beat() == [{"type": "exit"}]


def test_a_heartbeat_of_a_deleted_sweep(backend: Backend):
    sweep = backend.sweep("p")
    worker = Worker(backend, sweep)
    backend.store.delete_sweep(sweep)
    with pytest.raises(NotFound):
        worker.beat()


def test_hyperband_stops_the_worst(backend: Backend):
    config = """
program: t.py
method: bayes
metric: {name: label_free/rankme, goal: maximize}
early_terminate: {type: hyperband, min_iter: 2, eta: 2}
parameters: {a: {distribution: uniform, min: 0.0, max: 1.0}}
"""
    sweep = backend.sweep("p", config)
    workers = [Worker(backend, sweep) for _ in range(4)]
    names = [worker.beat()[0]["run_id"] for worker in workers]
    for run, rank in zip(sweep.run_list, (9, 1, 5, 7), strict=True):
        init(backend, run.name)
        run.write_history(0, [json.dumps({"_step": s, "label_free/rankme": s * rank}) for s in range(2)])
    # Of 9, 7, 5, 1 at the second row the threshold is the third best: sorted losses[int(4 / 2)].
    commands = [worker.beat(name) for worker, name in zip(workers, names, strict=True)]
    assert commands == [[], [{"type": "stop", "run_id": names[1]}], [], []]
    backend.store.end_run(sweep.run_list[1], 255)
    assert sweep.run_list[1].state == "killed"


@pytest.mark.parametrize(
    "file", sorted((Path(__file__).parents[1] / "sweeps").glob("*.yaml")), ids=lambda f: f.stem
)
def test_the_shipped_sweep_files_are_accepted(backend: Backend, file: Path):
    sweep = backend.sweep("p", file.read_text())
    names = sweep.settings["parameters"].keys()
    for _ in range(20):
        assert (sweep.next_values() or dict.fromkeys(names)).keys() == names


@pytest.mark.parametrize(
    "config",
    [
        {"method": "grid", "parameters": {"a": {"min": 0.0, "max": 1.0}}},
        {"method": "magic", "parameters": {"a": {"values": [1]}}},
        {"method": "bayes", "parameters": {"a": {"values": [1]}}},
        {"method": "random"},
        {"method": "random", "parameters": {"a": {"distribution": "nonsense", "min": 0, "max": 1}}},
    ],
)
def test_a_sweep_that_w_and_b_would_refuse(backend: Backend, config: dict[str, Any]):
    with pytest.raises(ValueError, match="invalid sweep config"):
        backend.sweep("p", json.dumps(config))
