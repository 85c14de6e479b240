"""Compares our search with W&B's own engine, the PyPI package sweeps, in one process.

sweeps 0.3.0 needs numpy < 2, which the project itself does not use, so it lives in an environment of its own:

    uv venv --python 3.11 /tmp/sweeps-engine
    uv pip install --python /tmp/sweeps-engine/bin/python "sweeps==0.3.0"
    PYTHONPATH=. /tmp/sweeps-engine/bin/python benchmarks/compare_sweeps_package.py

Grids must give the same configurations in the same order; distributions must have the same quantiles (the
largest relative difference at 999 probabilities) and give draws that two-sample tests cannot tell apart
(Kolmogorov-Smirnov, or chi-squared where few values are possible); hyperband must stop the same runs; files
that W&B's schema refuses must be refused. Exit status 1 where anything differs.
"""

import contextlib
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy import stats
from sweeps.config import SweepConfig
from sweeps.params import HyperParameter

import sweeps
from selector.errors import UserError
from selector.sweeping.distributions import quantile
from selector.sweeping.hyperband import Hyperband, runs_to_stop
from selector.sweeping.search import grid_config, grid_size, random_config
from selector.sweeping.sweep_file import SweepFile, read_sweep_file

DRAWS = 20_000

GRIDS: dict[str, dict[str, Any]] = {
    "two axes": {"b": {"values": [1, 2, 3]}, "a": {"values": ["x", "y"]}},
    "constants among them": {"z": {"value": 7}, "a": {"values": [0.1, 0.2]}, "m": {"value": None}},
    "mixed types": {"a": {"values": [None, True, 1, 1.5, "1", [1, 2], {"k": 1}]}},
    "equal values": {"a": {"values": [1, 2, 1.0, 2, 3]}, "b": {"values": [True, 1, False, 0]}},
    "int_uniform": {"a": {"min": -2, "max": 3}, "b": {"values": ["x", "y"]}},
    "q_uniform": {"a": {"distribution": "q_uniform", "min": 0.3, "max": 1.5, "q": 0.1}},
    "q_uniform, whole": {"a": {"distribution": "q_uniform", "min": 1, "max": 10, "q": 2}},
    "q_uniform, default q": {"a": {"distribution": "q_uniform", "min": 0, "max": 4}},
    "nested": {
        "opt": {"parameters": {"lr": {"values": [0.1, 0.2]}, "kind": {"value": "sgd"}}},
        "net": {
            "parameters": {"head": {"parameters": {"dim": {"values": [8, 16]}}}, "n": {"values": [1, 2]}}
        },
        "a": {"values": [1, 2]},
    },
    "capitals and dots": {"b.c": {"values": [1, 2]}, "B": {"values": [3, 4]}, "_a": {"values": [5]}},
}

LAWS: dict[str, dict[str, Any]] = {
    "constant": {"value": 3},
    "categorical": {"values": ["a", "b", "c", "d"]},
    "categorical_w_probabilities": {"values": [1, 2, 3], "probabilities": [0.2, 0.5, 0.3]},
    "inferred int_uniform": {"min": -3, "max": 8},
    "inferred uniform": {"min": -1.5, "max": 2},
    "uniform, whole bounds": {"distribution": "uniform", "min": 0, "max": 4},
    "q_uniform, default q": {"distribution": "q_uniform", "min": -3, "max": 7.5},
    "q_uniform, whole q": {"distribution": "q_uniform", "min": 1, "max": 40, "q": 3},
    "q_uniform, q 0.25": {"distribution": "q_uniform", "min": 0, "max": 2, "q": 0.25},
    "log_uniform": {"distribution": "log_uniform", "min": -7, "max": 1.5},
    "log_uniform_values": {"distribution": "log_uniform_values", "min": 1e-5, "max": 0.3},
    "inv_log_uniform": {"distribution": "inv_log_uniform", "min": -1, "max": 6},
    "inv_log_uniform_values": {"distribution": "inv_log_uniform_values", "min": 1e-3, "max": 10},
    "q_log_uniform": {"distribution": "q_log_uniform", "min": 0, "max": 4},
    "q_log_uniform_values": {"distribution": "q_log_uniform_values", "min": 16, "max": 512, "q": 16},
    "normal": {"distribution": "normal"},
    "normal, mu sigma": {"distribution": "normal", "mu": 5, "sigma": 0.1},
    "q_normal": {"distribution": "q_normal", "mu": 1, "sigma": 2, "q": 0.5},
    "q_normal, default q": {"distribution": "q_normal", "sigma": 4},
    "log_normal": {"distribution": "log_normal", "mu": -2, "sigma": 0.7},
    "q_log_normal": {"distribution": "q_log_normal", "mu": 2, "q": 2},
    "beta": {"distribution": "beta", "a": 2, "b": 5},
    "beta, defaults": {"distribution": "beta"},
    "q_beta": {"distribution": "q_beta", "a": 0.5, "b": 0.5, "q": 0.1},
}

_SOUND: dict[str, Any] = {"method": "random", "parameters": {"a": {"values": [1, 2]}}}
REFUSED: dict[str, dict[str, Any]] = {
    "no method": {"parameters": {"a": {"value": 1}}},
    "unknown method": _SOUND | {"method": "gird"},
    "no parameters": {"method": "random"},
    "empty parameters": {"method": "random", "parameters": {}},
    "unknown key": _SOUND | {"paramaters": {}},
    "run_cap 0": _SOUND | {"run_cap": 0},
    "hyperband without bands": _SOUND | {"metric": {"name": "m"}, "early_terminate": {"type": "hyperband"}},
    "goal": _SOUND | {"method": "bayes", "metric": {"name": "m", "goal": "up"}},
    "bad name": {"method": "random", "parameters": {"a b": {"value": 1}}},
} | {
    name: {"method": "random", "parameters": {"a": section}}
    for name, section in {
        "min above max": {"min": 2, "max": 1},
        "min equals max": {"min": 1.0, "max": 1.0},
        "q of 0": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0},
        "probabilities sum": {"values": [1, 2], "probabilities": [0.5, 0.6]},
        "probabilities length": {"values": [1], "probabilities": [0.5, 0.5]},
        "value and values": {"value": 1, "values": [1]},
        "q without distribution": {"min": 0, "max": 9, "q": 2},
        "unknown distribution": {"distribution": "gaussian"},
        "log of 0": {"distribution": "log_uniform_values", "min": 0, "max": 1},
        "text as bound": {"min": "1e-4", "max": 1},
        "scalar parameter": 3,
    }.items()
}


def our_sweep(config: dict[str, Any]) -> SweepFile:
    """A sweep file of ours from W&B's dictionary."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.yaml"
        path.write_text(yaml.safe_dump({"program": "train.py", **config}, sort_keys=False))
        return read_sweep_file(path)


def compare_grids() -> Iterator[tuple[str, str, bool]]:
    for name, parameters in GRIDS.items():
        config = {"method": "grid", "parameters": parameters}
        ours = our_sweep(config)
        size = grid_size(ours.parameters)
        configs = (grid_config(ours.parameters, index) for index in range(size))
        mine = [{name: {"value": value} for name, value in config.items()} for config in configs]
        theirs = [run and dict(run.config) for run in sweeps.next_runs(config, [], n=size + 1)]
        same = [repr(_sorted(run)) for run in mine] == [repr(_sorted(run)) for run in theirs[:-1]]
        yield f"grid: {name}", f"{size} configurations", same and theirs[-1] is None


def _sorted(value: Any) -> Any:
    """Dictionaries in the order of their keys: an agent receives them as JSON objects, which have none."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return value


def compare_laws() -> Iterator[tuple[str, str, bool]]:
    random.seed(1)
    probabilities = np.linspace(0.001, 0.999, 999)
    for name, law in LAWS.items():
        (parameter,) = our_sweep({"method": "random", "parameters": {"a": law}}).parameters
        theirs = HyperParameter("a", dict(law))
        pairs = [(quantile(parameter.distribution, p), theirs.ppf(float(p))) for p in probabilities]
        mine = [random_config([parameter], 0, index)["a"] for index in range(DRAWS)]
        drawn = [theirs.sample() for _ in range(DRAWS)]
        difference, p_value, test = _differences(pairs, mine, drawn)
        types = {type(m) for m in mine} == {_plain(type(d)) for d in drawn}
        text = (
            f"quantiles within {difference:.1e}, {test} p = {p_value:.3f}{'' if types else ', types differ'}"
        )
        yield f"law: {name}", text, difference < 1e-9 and p_value > 1e-4 and types


def _plain(kind: type) -> type:
    if issubclass(kind, np.floating):
        return float
    return int if issubclass(kind, np.integer) else kind


def _differences(
    pairs: Sequence[tuple[Any, Any]], mine: Sequence[Any], theirs: Sequence[Any]
) -> tuple[float, float, str]:
    values = sorted({*mine, *theirs})
    if len(values) > 40:
        difference = max(abs(m - t) / max(abs(t), 1e-9) for m, t in pairs)
        return difference, float(stats.ks_2samp(mine, theirs).pvalue), "KS"
    # At the edge of a step a rounding error decides; more edges than there are steps would be another law.
    unlike = sum(not _equal(m, t) for m, t in pairs)
    ours, others = Counter(mine), Counter(theirs)
    kept = [value for value in values if ours[value] + others[value] >= 20]
    table = [[counts[value] for value in kept] for counts in (ours, others)]
    p_value = float(stats.chi2_contingency(table).pvalue) if len(kept) > 1 else 1.0
    return float(unlike > len(values)), p_value, "chi²"


def _equal(mine: Any, theirs: Any) -> bool:
    return mine == theirs or (isinstance(mine, float) and bool(np.isclose(mine, theirs)))


def compare_hyperband(sweeps_compared: int = 400) -> Iterator[tuple[str, str, bool]]:
    generator = np.random.default_rng(0)
    stopped = decisions = differing = 0
    for _ in range(sweeps_compared):
        settings = _random_settings(generator)
        goal = str(generator.choice(["minimize", "maximize"]))
        histories = {
            f"r{i}": [float(v) for v in generator.normal(size=int(generator.integers(0, 30)))]
            for i in range(9)
        }
        running = {run for run in histories if generator.random() < 0.5}
        config = {
            "method": "random",
            "metric": {"name": "m", "goal": goal},
            "early_terminate": {"type": "hyperband", **settings},
            "parameters": {"a": {"values": [1, 2]}},
        }
        runs = [
            sweeps.SweepRun(
                name=run,
                state=sweeps.RunState.running if run in running else sweeps.RunState.finished,
                history=[{"m": value} for value in values],
            )
            for run, values in histories.items()
        ]
        theirs = {run.name for run in sweeps.stop_runs(config, runs)}
        ours = our_sweep(config).early_terminate
        assert isinstance(ours, Hyperband)
        mine = set(runs_to_stop(histories, running, ours, goal == "maximize"))
        decisions += len(running)
        stopped += len(theirs)
        differing += len(mine ^ theirs)
    text = f"{decisions} decisions in {sweeps_compared} sweeps, {stopped} to stop, {differing} differ"
    yield "hyperband", text, differing == 0


def _random_settings(generator: np.random.Generator) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if generator.random() < 0.5:
        settings["min_iter"] = int(generator.integers(1, 6))
    else:
        settings |= {"max_iter": int(generator.integers(9, 40)), "s": int(generator.integers(1, 4))}
    if generator.random() < 0.7:
        settings["eta"] = float(generator.choice([2, 3, 2.5, 4]))
    if generator.random() < 0.7:
        settings["strict"] = bool(generator.random() < 0.5)
    return settings


def compare_refusals() -> Iterator[tuple[str, str, bool]]:
    for name, config in REFUSED.items():
        theirs = _refuses(lambda config=config: SweepConfig(config))
        ours = _refuses(lambda config=config: our_sweep(config))
        text = f"W&B {'refuses' if theirs else 'accepts'}, selector {'refuses' if ours else 'accepts'}"
        yield f"refused: {name}", text, ours


def _refuses(read: Callable[[], object]) -> bool:
    try:
        with contextlib.redirect_stderr(None):
            read()
    except UserError:
        return True
    except Exception:  # whatever W&B's schema raises
        return True
    return False


def main() -> int:
    failed = 0
    for compare in (compare_grids, compare_laws, compare_hyperband, compare_refusals):
        for name, text, same in compare():
            failed += not same
            print(f"{'ok  ' if same else 'DIFF'} {name:<34} {text}")
    print(f"{failed} comparisons differ" if failed else "all comparisons agree")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
