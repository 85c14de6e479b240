"""One training run: what a sweep's agent executes.

    python train.py --method simclr --dataset digits --epochs 30 --milestone-every 5

Trains SimSiam, SimCLR or MoCo-v2 without labels and logs label-free metrics to Weights & Biases at every
milestone. `python train.py --help` lists every hyperparameter; all of them can be swept.
"""

import signal
import sys
from collections.abc import Sequence

from selector.command_line import parse_config
from selector.config import TrainConfig
from selector.errors import UserError


def train(config: TrainConfig) -> None:
    """Train one encoder as `config` says (Xu, Lowe & Trappenberg, section III)."""
    import torch

    from selector.training.data import load_images
    from selector.training.milestones import milestones_of
    from selector.training.pretrain import build_method, pretrain
    from selector.training.run_folder import last_checkpoint, open_run_folder
    from selector.training.wandb_log import wandb_log

    if config.threads is not None:
        torch.set_num_threads(config.threads)

    # A. Data sets: train on the training split, evaluate on the test split.
    images = load_images(config)
    for path in images.skipped:
        print(f"skipped {path!r}: not readable", file=sys.stderr)

    # B. Self-supervised learning: encoder, heads, loss.
    folder = open_run_folder(config)
    method = build_method(config, images)

    with wandb_log(config, folder.run_id) as log:
        # C. Representation evaluation: label-free metrics at every milestone.
        milestones = milestones_of(config, images, log)
        outcome = pretrain(method, config, folder.path, [milestones], progress=sys.stderr.isatty())

        log.end(outcome.status, outcome.epoch, last_checkpoint(folder.path))
    print(f"{outcome.status} after epoch {outcome.epoch} {outcome.detail}".rstrip(), file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, train, and turn a user's mistake into one line."""
    config = parse_config(sys.argv[1:] if arguments is None else arguments)
    # A sweep that stops a run sends SIGTERM: leave through the same doors as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        train(config)
    except UserError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, SystemExit) as stop:
        print("interrupted: the same command with --resume continues the run", file=sys.stderr)
        code = stop.code if isinstance(stop, SystemExit) else 128 + signal.SIGINT
        return code if isinstance(code, int) and code else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
