"""Several processes, one run: what comes of it is what one process makes of the same batches."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from loopback import Backend, Workplace
from loopback.records import Sweep
from tiny_training import TINY, parameters

import train

sys.path.append(str(Path(__file__).parent / "training"))
import shared_batch

from selector.training.stored import read_checkpoint

pytestmark = pytest.mark.slow

TORCHRUN_TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every method trained by two processes."""
    folder = tmp_path_factory.mktemp("shared")
    done = subprocess.run(
        [*TORCHRUN_TWO, shared_batch.__file__, str(folder)], capture_output=True, text=True, timeout=900
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


@pytest.mark.parametrize("method", list(shared_batch.OWN))
def test_two_processes_stream_the_spectrum_of_one(shared: Path, method: str, tmp_path: Path) -> None:
    shared_batch.train(method, tmp_path)
    images, one = torch.load(tmp_path / method / "spectrum.pt")
    others, two = torch.load(shared / method / "spectrum.pt")
    assert images == others == 95
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-7 * float(one[0]))


def flat(state: dict) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{part}" if part else name: tensor
        for name, value in state.items()
        for part, tensor in (value.items() if isinstance(value, dict) else [("", value)])
        if tensor.is_floating_point()
    }


def test_every_process_knows_the_row_of_a_milestone(tmp_path: Path) -> None:
    script = Path(shared_batch.__file__).with_name("shared_row.py")
    done = subprocess.run(
        [*TORCHRUN_TWO, str(script), str(tmp_path)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    row, *known = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("row", "rank-0", "rank-1"))
    assert {"label_free/rankme", "label_free/stable_rank", "train/loss"} <= row.keys()
    assert known[0] == known[1]
    for key, value in row.items():
        assert known[1][key] == pytest.approx(value, rel=1e-6, nan_ok=True), key  # trainers keep float32


# The whole of train.py under an agent.

ASKED = {"learning_rate": 0.02, "probe": "none", "train_images": 64}
TORCHRUN = ["${env}", "torchrun", "--standalone", "--nproc-per-node=2", "${program}", "${args}"]
WAYS = {
    "one process": {"devices": 1},
    "Lightning's launcher": {"devices": 2},
    "torchrun": {"devices": 2, "command": TORCHRUN},
}


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Sweep, str]]:
    """One run started in each way, each by an agent and for a project of its own."""
    with Backend() as backend:
        started = {}
        for number, (way, how) in enumerate(WAYS.items()):
            place = Workplace(backend, tmp_path_factory.mktemp("agent"))
            config = {
                "program": train.__file__,
                "method": "grid",
                "parameters": parameters(**ASKED, devices=how["devices"]),
            }
            if "command" in how:
                config["command"] = how["command"]
            sweep = backend.sweep(f"p{number}", yaml.safe_dump(config))
            started[way] = sweep, place, place.start_wandb("agent", f"loopback/p{number}/{sweep.name}")
        return {way: (sweep, place.end(agent, 900)) for way, (sweep, place, agent) in started.items()}


@pytest.mark.parametrize("way", list(WAYS))
def test_several_processes_are_one_run(sweeps: dict, way: str) -> None:
    sweep, printed = sweeps[way]
    (run,) = sweep.run_list
    assert list(sweep.project.bucket_by_name) == [run.name]
    assert run.state == "finished", printed
    assert [row["epoch"] for row in run.rows] == [0, 1, 2]
    assert printed.count("completed after epoch 2") == 1
    assert "Traceback" not in printed
    config = {name: wrapped["value"] for name, wrapped in json.loads(run.config).items()}
    assert config.items() >= (TINY | ASKED).items()
    # The whole split, once.
    assert (config["definition"]["evaluation_images"], config["definition"]["rankme_images"]) == (60, 64)


@pytest.mark.parametrize("way", list(WAYS)[1:])
def test_several_processes_measure_what_one_does(sweeps: dict, way: str) -> None:
    (one,), (several,) = (sweeps[w][0].run_list for w in ("one process", way))
    first, *rest = one.rows
    untrained, *trained = several.rows
    assert {k: v for k, v in untrained.items() if k.startswith("label_free")} == {
        k: v for k, v in first.items() if k.startswith("label_free")
    }
    # Clusters and UMAP jump at the smallest difference; these figures do not.
    for own, others in zip(rest, trained, strict=True):
        for key in ("train/loss", "label_free/rankme", "label_free/rankme_backbone"):
            assert others[key] == pytest.approx(own[key], rel=1e-3), key


def test_torchrun_and_devices_must_agree(tmp_path: Path) -> None:
    done = subprocess.run([*TORCHRUN_TWO, train.__file__], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0
    assert (
        done.stderr.count("train.py: torchrun started 2 processes on this machine and --devices says 1") == 1
    )
