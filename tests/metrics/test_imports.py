"""What importing the metrics takes, and that names are functions whatever was imported before."""

import subprocess
import sys

import pytest

import selector.metrics
from selector.metrics import METRICS, registered


def output_of(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_the_registry_needs_no_heavy_import():
    heavy = {"scipy", "sklearn", "torch", "numba", "umap", "wandb", "threadpoolctl"}
    program = (
        f"import sys\nfrom selector.metrics import METRICS, rankme, clid\nprint(*{heavy} & set(sys.modules))"
    )
    assert output_of(program).strip() == ""


@pytest.mark.parametrize("first", ["", "import selector.metrics.clid, selector.metrics.idest, selector.runs"])
def test_names_are_functions_whatever_was_imported_before(first):
    program = f"{first}\nfrom selector.metrics import clid, evaluate, idest\nprint(clid, evaluate, idest)"
    assert output_of(program).count("<function ") == 3


def test_the_function_of_every_metric_is_a_public_name():
    assert len(METRICS) == len({metric.name for metric in METRICS}) == len(registered())
    for one in registered():
        assert getattr(selector.metrics, one.function.__name__) is one.function
