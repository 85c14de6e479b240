import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

import selector.metrics
from selector.metrics.metrics import METRICS, LabelledMetric


def test_the_table_of_metrics_needs_no_heavy_import():
    program = (
        "import sys, selector.metrics, selector.metrics.metrics;"
        "print(*{'numpy', 'scipy', 'sklearn', 'torch', 'numba', 'umap', 'wandb'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


MODULES = ("rankme", "lidar", "idest", "clid", "self_clustering")
EXAMPLE = np.random.default_rng(0).standard_normal((20, 3, 4))


@pytest.mark.parametrize("first", ["import selector.metrics.milestone", ""])
def test_metrics_can_be_imported_from_the_package_whatever_was_imported_before(first):
    program = (
        f"import numpy as np; {first}\n"
        "from selector.metrics import idest, lidar, nesum, rankme\n"
        "x = np.eye(4)\n"
        "print(rankme(x), rankme.rankme(x), rankme(x, eps=0.0), nesum(x), lidar(np.stack([x, x])))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    once, again, without_eps, *_ = result.stdout.split()
    assert once == again
    assert float(without_eps) == pytest.approx(4)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_called_like_its_function(name):
    module = getattr(selector.metrics, name)
    assert isinstance(module, ModuleType)
    example = EXAMPLE if name == "lidar" else EXAMPLE[:, 0]
    assert module(example) == getattr(module, name)(example)
    assert module(torch.from_numpy(example)) == pytest.approx(module(example))


def test_every_metric_without_umap_is_a_public_name():
    umap = {"entropy", "entropy_robust", "silhouette_umap"}  # histogram_entropy and silhouette of UMAP points
    labelled = {metric.name for metric in METRICS if isinstance(metric, LabelledMetric)}
    wanted = {metric.name for metric in METRICS} - umap - labelled - {"rankme_backbone"}
    assert wanted <= set(selector.metrics.__all__)


@pytest.mark.parametrize("name", sorted(set(selector.metrics.__all__) - set(MODULES)))
def test_public_names_are_what_their_module_calls_them(name):
    thing = getattr(selector.metrics, name)
    assert thing.__name__.rpartition(".")[2] == name
    assert getattr(thing, "__module__", thing.__name__).startswith("selector.metrics.")


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'rankmee'"):
        _ = selector.metrics.rankmee
    assert not hasattr(selector.metrics, "nothing")
