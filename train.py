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
    from selector.training.data import load_images
    from selector.training.milestones import milestones_of
    from selector.training.network import Network
    from selector.training.pretrain import pretrain, start_from
    from selector.training.processes import meet, processes_of, take_device
    from selector.training.progress import TrainingProgress
    from selector.training.run_folder import last_checkpoint, open_run_folder
    from selector.training.run_log import SilentLog, run_log

    take_device(config)
    processes = processes_of(config)

    # A. Data sets: train on the training split, evaluate on the test split.
    images = load_images(config)

    # B. Self-supervised learning: encoder, heads, loss.
    folder = open_run_folder(config)
    network = Network(config, images)
    if config.init_from is not None:
        start_from(Path(config.init_from), network)

    # Of several processes one writes the record, and tells W&B.
    with run_log(config, folder, signals) if processes.is_main else nullcontext(SilentLog()) as log:
        log.tell(images.summary, *(f"skipped {path!r}: not readable" for path in images.skipped))
        meet(processes)

        # C. Representation evaluation: label-free metrics at every milestone.
        progress = TrainingProgress(config.batch_size, every=config.milestone_every)
        milestones = milestones_of(config, images, log, folder, progress)
        outcome = pretrain(network, config, folder, [progress, milestones], log, signals)
        log.end(outcome.status, outcome.epoch, outcome.detail, last_checkpoint(folder))
        log.tell(f"{outcome.status} after epoch {outcome.epoch} {outcome.detail}".rstrip())


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
