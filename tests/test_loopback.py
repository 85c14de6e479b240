"""The W&B backend of these tests: that it says no where it should, and follows W&B's rules where it can."""

import json
from typing import Any

import pytest
from loopback import Backend
from loopback.graph import execute


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
        (
            'query Q { project(name: "p") { runCount(filters: "{\\"nothing\\": 1}") } }',
            "filter on an unknown field: nothing",
        ),
    ],
)
def test_what_is_unknown_is_an_error(backend: Backend, query: str, message: str):
    backend.run("p", "x", [])
    answer = execute(backend.store, query, {}, "")
    assert message in answer["errors"][0]["message"]


# Sweeps, as an agent asks for work: without its processes.


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
