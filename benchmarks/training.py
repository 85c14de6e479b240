"""Training throughput: train.py's loop against loops that users write today, interleaved, the same encoder.

    python benchmarks/training.py [--dataset digits fashion_mnist] [--rounds 5]
    python benchmarks/training.py --accuracy              the same probe accuracy, and how far seeds spread
    python benchmarks/training.py --peer /tmp/spt/bin/python  with stable-pretraining, which lives elsewhere:
        uv venv --python 3.11 /tmp/spt
        uv pip install --python /tmp/spt/bin/python stable-pretraining==0.1.8 lightly==1.6.0 torch==2.15.0
    python benchmarks/training.py --device cuda --dataset cifar10 --data-dir data --backbone resnet-18 \
        --width 1                             on a GPU, with the share of an H100's bf16 peak

"lightly" is the loop of Lightly's CIFAR-10 benchmark for SimCLR: its SimCLRTransform on PIL images in the
workers of a DataLoader, float32, SGD, batch 512. "stable-pretraining" is that package's transforms, projector
and loss. Both run in a bare loop, without logging or a trainer, and their workers live on between epochs: in
their favour. Each is a process that trains some epochs when it is its turn. Memory is its proportional set
size with all workers. Ours is `pretrain` as train.py calls it, without milestones.
"""

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from compare import FASHION, family, figure, head, options, row, spread

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin slow each other down: for all alike
EPOCHS = {"digits": 5, "fashion_mnist": 1, "cifar10": 1, "cifar100": 1}  # a turn, seconds long
FASHION_IMAGES, BATCH, WORKERS = 4000, 512, 2  # the workers are those of the other loops
JUDGED_EPOCHS, JUDGED_BATCH, SEEDS = 10, 256, 5  # of --accuracy
FOREVER = 10**6
PEAK_BF16 = 989e12  # an H100 SXM without sparsity, from its data sheet


def main() -> None:
    asked = options(
        __doc__,
        dataset=["digits", "fashion_mnist"],
        data_dir=FASHION,
        rounds=5,
        backbone="resnet-9",
        width=0.25,
        device="cpu",
        threads=len(os.sched_getaffinity(0)),
        peer="",
        accuracy=False,
        child="",
    )
    if asked.child:
        CONTENDERS[asked.child](asked, asked.dataset[0])
        return
    for dataset in asked.dataset:
        compare_accuracy(asked, dataset) if asked.accuracy else compare_speed(asked, dataset)


def compare_speed(asked: Namespace, dataset: str) -> None:
    names = [name for name in CONTENDERS if name != "stable-pretraining" or asked.peer]
    turns = {name: Turns(name, asked, dataset) for name in names}
    facts, *_ = [turns[name].turn() for name in names]  # once each to warm up
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(asked.rounds):
        for name in names:
            results[name].append(turns[name].turn())
    for turn in turns.values():
        turn.process.communicate()
    print(
        f"\n{dataset}, {facts['shape']}, {asked.backbone} x {asked.width:g}, batch {BATCH},"
        f" {asked.threads} threads, load {os.getloadavg()[0]:.1f}\n"
    )
    ratio = ("/ lightly", "least", "most")
    print(head("", "images/s", "least", "most", *ratio, "CPU ms per image", "/ lightly", "peak MiB"))
    speeds = {name: [one["images"] / one["seconds"] for one in results[name]] for name in names}
    cpu = {name: median(1e3 * one["cpu"] / one["images"] for one in results[name]) for name in names}
    for name in names:
        ratios = [own / other for own, other in zip(speeds[name], speeds["lightly"], strict=True)]
        work = figure(cpu[name]), figure(cpu["lightly"] / cpu[name])
        peak = max(one["peak"] for one in results[name]) / 2**20
        print(row(name, *spread(speeds[name]), *spread(ratios), *work, figure(peak)))
    rate = facts["flops"] * max(map(median, speeds.values()))
    share = f", {rate / PEAK_BF16:.1%} of an H100's bf16 peak" if asked.device == "cuda" else ""
    print(f"{facts['flops'] / 1e9:.2f} GFLOP an image: the fastest computes {rate / 1e9:.0f} GFLOP/s{share}")


class Turns:
    """A contender in a process of its own, which trains when it is told to."""

    def __init__(self, name: str, asked: Namespace, dataset: str) -> None:
        python = asked.peer if name == "stable-pretraining" else sys.executable
        command = [python, __file__, *sys.argv[1:], "--dataset", dataset, "--child", name]
        root = str(Path(__file__).parents[1])
        environment = os.environ | {"PYTHONPATH": root, "PYTHONWARNINGS": "ignore"}
        environment |= {"OMP_NUM_THREADS": str(asked.threads)}
        pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
        self.process = subprocess.Popen(command, env=environment, text=True, **pipes)
        self.peak = 0

    def turn(self) -> dict[str, Any]:
        """Some epochs: images, seconds, processor seconds and peak memory with all workers."""
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(done,))
        watcher.start()
        before = sum(map(cpu_seconds, family(self.process.pid)))
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        line = "not yet"
        while line and not line.startswith("{"):  # packages print, too
            line = self.process.stdout.readline()
        result = json.loads(line)
        cpu = sum(map(cpu_seconds, family(self.process.pid))) - before
        done.set()
        watcher.join()
        return result | {"cpu": cpu, "peak": self.peak}

    def _watch(self, done: threading.Event) -> None:
        while not done.wait(0.5):
            self.peak = max(self.peak, sum(map(proportional_bytes, family(self.process.pid))))


def serve(train: Callable[[], int]) -> None:
    """In a contender: train when a line comes, and say how it went."""
    out, sys.stdout = sys.stdout, sys.stderr
    for _ in sys.stdin:
        start = time.perf_counter()
        images = train()
        result = {"images": images, "seconds": time.perf_counter() - start}
        print(json.dumps(result), file=out, flush=True)


def recipe(asked: Namespace, dataset: str, **changes: Any) -> Any:
    from selector.config import paper_recipe

    own: dict[str, Any] = {"batch_size": BATCH, "threads": asked.threads, "device": asked.device}
    if dataset != "digits":
        own["data_dir"] = asked.data_dir
    if dataset == "fashion_mnist":
        own["train_images"] = FASHION_IMAGES
    if not dataset.startswith("cifar"):  # grey pictures, and a mirrored digit is another sign
        own |= {"grayscale_probability": 0.0, "flip_probability": 0.0 if dataset == "digits" else 0.5}
    if asked.width < 1:
        own |= {"projector_hidden": 256, "projector_dim": 64}
    own |= {"backbone": asked.backbone, "backbone_width": asked.width, "learning_rate": 0.1}
    return dataclasses.replace(paper_recipe("simclr"), dataset=dataset, **(own | changes))


def ours(precision: str, asked: Namespace, dataset: str) -> None:
    import pytorch_lightning as pl
    import torch
    from encoders import trained

    from selector.training.data import load_images

    torch.set_num_threads(asked.threads)
    config = recipe(asked, dataset, precision=precision, epochs=FOREVER, milestone_every=FOREVER)
    images = load_images(config)
    epochs, out = EPOCHS[dataset], sys.stdout
    sys.stdout = sys.stderr
    facts = {"shape": str(tuple(images.train.pixels.shape)), "flops": flops(config, images)}
    facts["images"] = epochs * (len(images.train) // BATCH) * BATCH

    class ByTurns(pl.Callback):
        start = 0.0

        def on_train_epoch_start(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
            if trainer.current_epoch % epochs == 0:
                if not sys.stdin.readline():
                    os._exit(0)
                self.start = time.perf_counter()

        def on_train_epoch_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
            if (trainer.current_epoch + 1) % epochs == 0:
                seconds = time.perf_counter() - self.start
                print(json.dumps(facts | {"seconds": seconds}), file=out, flush=True)

    trained(config, images, ByTurns())


def flops(config: Any, images: Any) -> int:
    """Of one image in a step: two views, each with a forward pass and a backward pass of twice the work."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from selector.training.network import Network

    network = Network(config, images).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.project(torch.zeros(1, *images.train.pixels.shape[1:]))
    return 2 * 3 * counter.get_total_flops()


def lightly_loop(asked: Namespace, dataset: str) -> None:
    import torch

    config = recipe(asked, dataset)
    torch.set_num_threads(asked.threads)
    epoch = lightly_training(config, FOREVER)
    serve(lambda: sum(next(epoch) for _ in range(EPOCHS[dataset])))


def lightly_training(config: Any, epochs: int, keep: list[Any] | None = None) -> Iterator[int]:
    """Lightly's recipe as a plain loop; `keep` is given the backbone."""
    import torch
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead
    from lightly.transforms import SimCLRTransform
    from torch.utils.data import default_collate

    from selector.training.data import load_images
    from selector.training.network import build_backbone

    images = load_images(config)
    pixels = images.train.pixels
    scaled = pixels.float() / 255
    moments = {"mean": scaled.mean((0, 2, 3)).tolist(), "std": scaled.std((0, 2, 3)).tolist()}
    colours = {"cj_prob": config.jitter_probability, "cj_strength": config.jitter_strength}
    colours |= {"random_gray_scale": config.grayscale_probability, "gaussian_blur": 0.0, "normalize": moments}
    shape = {"min_scale": config.crop_scale_min, "hf_prob": config.flip_probability}
    transform = SimCLRTransform(pixels.shape[-1], **colours, **shape)
    torch.manual_seed(config.seed)
    backbone, dimension = build_backbone(config)
    head = SimCLRProjectionHead(dimension, config.projector_hidden, config.projector_dim)
    model = torch.nn.Sequential(backbone, head).to(config.device)
    if keep is not None:
        keep.append(backbone)
    criterion = NTXentLoss(config.temperature)

    def collate(pictures: list[Any]) -> Any:  # in a worker
        return default_collate([*map(transform, pictures)])

    batches = loader(config, pil_images(images), collate)
    return plain_loop(model, lambda a, b: criterion(model(a), model(b)), batches, config, epochs)


def loader(config: Any, dataset: Any, collate: Callable[..., Any] | None = None) -> Any:
    from torch.utils.data import DataLoader

    own = {"persistent_workers": True, "pin_memory": config.device == "cuda", "collate_fn": collate}
    return DataLoader(dataset, config.batch_size, shuffle=True, num_workers=WORKERS, drop_last=True, **own)


def pil_images(images: Any) -> list[Any]:
    """What torchvision.datasets.CIFAR10 gives, one by one."""
    from PIL import Image

    return [Image.fromarray(array) for array in images.train.pixels.permute(0, 2, 3, 1).contiguous().numpy()]


def plain_loop(
    model: Any, loss_of: Callable[..., Any], batches: Any, config: Any, epochs: int
) -> Iterator[int]:
    """Trains an epoch each time it is asked; yields its images."""
    import torch

    decay = {"momentum": config.momentum_max, "weight_decay": config.weight_decay}
    optimizer = torch.optim.SGD(model.parameters(), config.learning_rate, **decay)
    cycle = {"total_steps": epochs * len(batches), "pct_start": config.warmup_fraction}
    cycle |= {"base_momentum": config.momentum_min, "max_momentum": config.momentum_max}
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, **cycle)
    model.train()
    for _ in range(epochs):
        trained = 0
        for batch in batches:
            views = [view["image"] for view in batch["views"]] if isinstance(batch, dict) else batch
            loss = loss_of(*(view.to(config.device, non_blocking=True) for view in views))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            trained += len(views[0])
        yield trained


def stable_pretraining(asked: Namespace, dataset: str) -> None:
    import torch
    from stable_pretraining.data import transforms as T
    from stable_pretraining.data.datasets import FromTorchDataset
    from stable_pretraining.methods import SimCLR

    from selector.training.data import load_images
    from selector.training.network import build_backbone

    torch.set_num_threads(asked.threads)
    config = recipe(asked, dataset)
    images = load_images(config)
    size, s = images.train.pixels.shape[-1], config.jitter_strength
    view = T.Compose(
        T.RandomResizedCrop((size, size), scale=(config.crop_scale_min, 1.0)),
        T.RandomHorizontalFlip(p=config.flip_probability),
        T.ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s, p=config.jitter_probability),
        T.RandomGrayscale(p=config.grayscale_probability),
        T.ToImage(mean=[0.5] * 3, std=[0.3] * 3),
    )
    pictures = [(picture, 0) for picture in pil_images(images)]
    two_views = T.MultiViewTransform([view, view])
    data = FromTorchDataset(pictures, names=["image", "label"], transform=two_views)
    heads = (config.projector_hidden, config.projector_dim)
    model = SimCLR(build_backbone(config)[0], heads, config.temperature)
    batches = loader(config, data)
    epoch = plain_loop(model, lambda a, b: model(a, b).loss, batches, config, FOREVER)
    serve(lambda: sum(next(epoch) for _ in range(EPOCHS[dataset])))


def compare_accuracy(asked: Namespace, dataset: str) -> None:
    """Linear probe on each seed's encoder, after the same number of epochs of the same recipe."""
    import torch

    torch.set_num_threads(asked.threads)
    found: dict[str, list[float]] = {"lightly": [], "ours, 32": [], "ours, bf16": []}
    own = {"epochs": JUDGED_EPOCHS, "batch_size": JUDGED_BATCH, "milestone_every": FOREVER}
    for seed in range(SEEDS):
        for name, values in found.items():
            precision = "bf16" if name == "ours, bf16" else "32"
            config = recipe(asked, dataset, precision=precision, seed=seed, **own)
            values.append(accuracy(config, by_lightly=name == "lightly"))
            print(f"{dataset}, seed {seed}, {name}: {values[-1]:.4f}", file=sys.stderr, flush=True)
    print(f"\n{dataset}, {JUDGED_EPOCHS} epochs of batch {JUDGED_BATCH}, probe accuracy of {SEEDS} seeds\n")
    print(head("", "mean", "sd", "points above lightly"))
    base = found["lightly"]
    for name, values in found.items():
        error = ((stdev(values) ** 2 + stdev(base) ** 2) / SEEDS) ** 0.5
        shift = f"{100 * (mean(values) - mean(base)):+.2f} ± {100 * error:.2f}"
        print(row(name, f"{mean(values):.4f}", f"{stdev(values):.4f}", "" if values is base else shift))


def accuracy(config: Any, by_lightly: bool) -> float:
    from encoders import embedded, trained

    from selector.metrics.probes import fast_probe
    from selector.training.data import load_images
    from selector.training.network import Network

    images = load_images(config)
    if by_lightly:
        network, keep = Network(config, images), []
        for _ in lightly_training(config, config.epochs, keep):
            pass
        network.backbone = keep[0]
    else:
        network = trained(config, images)
    network.cpu()
    return float(
        fast_probe(*(embedded(network, split) for split in (images.train, images.evaluation))).mean()
    )


def cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def proportional_bytes(pid: int) -> int:
    """Memory of a process, pages that it shares divided among those that share them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


CONTENDERS: dict[str, Callable[[Namespace, str], None]] = {
    "ours, 32": partial(ours, "32"),
    "ours, bf16": partial(ours, "bf16"),
    "lightly": lightly_loop,
    "stable-pretraining": stable_pretraining,
}

if __name__ == "__main__":
    main()
