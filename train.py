"""One training run: what a sweep's agent executes.

    python train.py --method simclr --dataset digits --epochs 30 --milestone-every 5

Trains SimSiam, SimCLR, MoCo-v2, BYOL or VICReg without labels and logs label-free metrics at every
milestone. `python train.py --help` lists every hyperparameter; all of them can be swept.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from selector.command_line import parse_config
from selector.config import TrainConfig
from selector.errors import UserError
from selector.training.stopping import Stopped, StopSignals


def train(config: TrainConfig, signals: StopSignals) -> None:
    """Train one encoder as `config` says (Xu, Lowe & Trappenberg, section III)."""
    import torch

    from selector.training.data import load_images
    from selector.training.device import take_device
    from selector.training.milestones import milestones_of
    from selector.training.network import Network
    from selector.training.pretrain import SilentLog, pretrain, start_from
    from selector.training.processes import meet, processes_of
    from selector.training.progress import TrainingProgress, images_an_epoch
    from selector.training.run_folder import last_checkpoint, open_run_folder
    from selector.training.run_log import RunLog, run_log

    take_device(config.device, config.devices)
    processes = processes_of(config)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
        if config.devices > 1:  # Lightning's launcher divides the cores unless it finds this
            os.environ["OMP_NUM_THREADS"] = str(config.threads)

    # A. Data sets: train on the training split, evaluate on the test split.
    images = load_images(config)

    # B. Self-supervised learning: encoder, heads, loss.
    folder = open_run_folder(config)
    method = Network(config, images)
    if config.init_from is not None:
        start_from(Path(config.init_from), method)

    # Of several processes one writes the record, and tells W&B.
    with run_log(config, folder, signals) if processes.is_main else nullcontext(SilentLog()) as log:
        if isinstance(log, RunLog):
            print(images.summary, file=sys.stderr)
            for path in images.skipped:
                print(f"skipped {path!r}: not readable", file=sys.stderr)
        meet(processes)

        # C. Representation evaluation: label-free metrics at every milestone.
        progress = TrainingProgress(images_an_epoch(config, images), every=config.milestone_every)
        milestones = milestones_of(config, images, log, folder.path, progress)
        outcome = pretrain(method, config, folder.path, [progress, milestones], log, signals)
        if isinstance(log, RunLog):
            log.end(outcome.status, outcome.epoch, outcome.detail, last_checkpoint(folder.path))
            print(f"{outcome.status} after epoch {outcome.epoch} {outcome.detail}".rstrip(), file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, train, and turn a user's mistake into one line."""
    config = parse_config(sys.argv[1:] if arguments is None else arguments)
    with StopSignals() as signals:
        try:
            train(config, signals)
        except UserError as error:
            return _say(f"train.py: {error}", 1)
        except (Stopped, KeyboardInterrupt) as stop:
            status = stop.code if isinstance(stop, Stopped) else 130
            return _say("interrupted: the same command with --resume continues the run", status)
    return 0


def _say(line: str, status: object) -> int:
    """One line on stderr, from one of the processes of a run."""
    from selector.training.processes import is_main_process

    if is_main_process():
        print(line, file=sys.stderr)
    return status if isinstance(status, int) else 1


if __name__ == "__main__":
    try:
        try:
            exit_status = main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of --help, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        exit_status = 0
    sys.exit(exit_status)
