import subprocess
import sys
from types import ModuleType

import pytest

import selector.evaluation


def test_the_table_of_metrics_needs_no_heavy_import():
    program = (
        "import sys, selector.evaluation, selector.evaluation.metrics;"
        "print(*{'numpy', 'scipy', 'sklearn', 'torch', 'numba', 'umap', 'wandb'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


def test_names_of_modules_are_modules():
    from selector.evaluation import lidar, rankme

    assert isinstance(rankme, ModuleType)
    assert isinstance(lidar, ModuleType)
    assert selector.evaluation.rankme.rankme([[1.0, 0.0], [0.0, 1.0]]) == pytest.approx(2, abs=1e-5)
    assert selector.evaluation.entropy.histogram_entropy([[0.0]]) == 0


@pytest.mark.parametrize("name", selector.evaluation.__all__)
def test_public_names_are_what_their_module_calls_them(name):
    thing = getattr(selector.evaluation, name)
    assert thing.__name__ == name
    assert thing.__module__.startswith("selector.evaluation.")


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'rankmee'"):
        _ = selector.evaluation.rankmee
    assert not hasattr(selector.evaluation, "nothing")
