"""Several processes, one run: what comes of it is what one process makes of the same batches."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parent / "training"))
import shared_batch

from selector.training.pretrain import read_checkpoint


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every method trained by two processes."""
    folder = tmp_path_factory.mktemp("shared")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, shared_batch.__file__, str(folder)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return folder


@pytest.mark.parametrize("method", list(shared_batch.OWN))
def test_two_processes_train_the_weights_of_one(shared: Path, method: str, tmp_path: Path) -> None:
    shared_batch.train(method, tmp_path)
    one = read_checkpoint(tmp_path / method / "milestone-0003.ckpt")
    two = read_checkpoint(shared / method / "milestone-0003.ckpt")
    assert one["global_step"] == two["global_step"] == shared_batch.STEPS
    own, others = flat(one["state_dict"]), flat(two["state_dict"])
    assert own.keys() == others.keys()
    for name, value in own.items():
        # SplitBatchNorm's groups are not kept apart by several processes; their mean is what is read.
        if name.endswith(("running_mean", "running_var")) and method == "moco_v2" and "backbone" in name:
            value, others[name] = value.view(4, -1).mean(0), others[name].view(4, -1).mean(0)
        torch.testing.assert_close(others[name], value, rtol=1e-6, atol=1e-8, msg=name)


def flat(state: dict) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{part}" if part else name: tensor
        for name, value in state.items()
        for part, tensor in (value.items() if isinstance(value, dict) else [("", value)])
        if tensor.is_floating_point()
    }
