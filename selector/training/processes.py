"""Devices, and several processes that train one encoder: who they are, and how they pass on rows.

Row i of the global batch belongs to process i mod world. Whatever the number of processes, the same images
meet the same augmentations, the same negatives and the same BatchNorm statistics: see docs/scale-out.md.
"""

import os
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from selector.config import TrainConfig
from selector.errors import UserError

# While one process evaluates a milestone, the others wait at a barrier: the paper's probe takes its time.
PATIENCE = timedelta(days=1)


@dataclass(frozen=True)
class Processes:
    """The processes of one run, as seen by one of them: number `rank` of `world`, on `nodes` machines.

    Where they are not `by_torchrun`, Lightning's launcher starts all but the first.
    """

    rank: int
    world: int
    nodes: int
    by_torchrun: bool

    @property
    def is_main(self) -> bool:
        """Whether this is the one that talks: to W&B, to the disk and to the user."""
        return self.rank == 0


def processes_of(config: TrainConfig) -> Processes:
    """The processes that torchrun, or Lightning's launcher, started or will start for `config`."""
    environment = os.environ
    if "TORCHELASTIC_RUN_ID" in environment:
        local_world = int(environment["LOCAL_WORLD_SIZE"])
        world = int(environment["WORLD_SIZE"])
        processes = Processes(int(environment["RANK"]), world, world // local_world, by_torchrun=True)
        if local_world != config.devices:
            raise UserError(
                f"torchrun started {local_world} processes on this machine and --devices says"
                f" {config.devices}: pass --devices {local_world}"
            )
    else:
        rank = int(environment.get("LOCAL_RANK", 0)) if config.devices > 1 else 0
        processes = Processes(rank, config.devices, 1, by_torchrun=False)
    for name in ("batch_size", "batch_norm_splits"):
        if (value := getattr(config, name)) and value % processes.world:
            raise UserError(
                f"{name} {value} must be a multiple of the {processes.world} processes that share it"
            )
    return processes


def is_main_process() -> bool:
    """Whether this process speaks for the run; for when its configuration is not sound."""
    rank = "RANK" if "TORCHELASTIC_RUN_ID" in os.environ else "LOCAL_RANK"
    return int(os.environ.get(rank, 0)) == 0


def meet(processes: Processes) -> None:
    """Wait for the others that torchrun started; then all see what the first one has put on disk."""
    if not processes.by_torchrun:
        return  # Lightning's launcher starts the others only later
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group(backend, timeout=PATIENCE)
    dist.barrier()


def world_size() -> int:
    """How many processes train together; 1 outside training."""
    return dist.get_world_size() if dist.is_initialized() else 1


def process_number() -> int:
    """Which of the processes that train together this is; 0 outside training."""
    return dist.get_rank() if dist.is_initialized() else 0


def own_rows(rows: Tensor) -> Tensor:
    """The part that this process has of the rows of a global batch."""
    return rows[dist.get_rank() :: dist.get_world_size()] if world_size() > 1 else rows


@torch.no_grad()
def all_rows(rows: Tensor) -> Tensor:
    """The rows of all processes in the order of the global batch; no gradient passes."""
    if world_size() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


@torch.no_grad()
def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes; no gradient passes."""
    if world_size() == 1:
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / world_size()


def device_named(name: str) -> torch.device:
    """The device that `--device` names; `auto` takes a GPU where there is one."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: this machine has no GPU that torch can use")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def take_device(config: TrainConfig) -> None:
    """Take as many threads as were asked for, and this process's own GPU, where several have one each."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
        if config.devices > 1:  # Lightning's launcher divides the cores unless it finds this
            os.environ["OMP_NUM_THREADS"] = str(config.threads)
    if device_named(config.device).type != "cuda" or config.devices == 1:
        return
    if config.devices > (found := torch.cuda.device_count()):
        raise UserError(f"--devices {config.devices}: this machine has {found} GPUs that torch can use")
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
