"""`selector pretrained`."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from selector.commands.arguments import Device, Json, Name, Names, Quiet, show, warn
from selector.errors import UsageError
from selector.text import nearest

if TYPE_CHECKING:
    from rich.console import Console


def pretrained(
    *,
    models: Names = (),
    dataset: Names = ("cifar10",),
    data_dir: str | None = None,
    weights: Literal["imagenet", "none"] = "imagenet",
    weights_dir: Path | None = None,
    images: int | None = None,
    probe: Literal["paper", "fast", "none"] = "paper",
    clusters: int | None = None,
    umap_seeds: int = 3,
    device: Device = "auto",
    cache_dir: Path | None = None,
    metric: Name = "entropy",
    figure: Path | None = None,
    published: bool = False,
    quiet: Quiet = False,
    json: Json = False,
    csv: bool = False,
    latex: bool = False,
) -> int:
    """Say how well each metric follows the accuracy over pretrained models: the paper's Table II.

    Args:
        models: Classification models of torchvision or timm, or checkpoints of train.py (*.ckpt); by
            default, the paper's 17 models.
        dataset: Data sets to embed, one after another, by their names in train.py.
        data_dir: Folder that holds them (not needed for digits).
        weights: ImageNet weights, or none: untrained networks, which say nothing about pretrained ones.
        weights_dir: Folder with one file of weights per model, NAME.pth or as torchvision names it; without
            this option they are downloaded.
        images: Use only this many images of each split, the first of a seeded permutation.
        probe: Linear probe: the paper's (Adam, 20 augmented epochs, each embedded anew), or
            logistic regression on fixed features, or none (label-free metrics only).
        clusters: k1 of the clustering metrics; None uses the number of classes.
        umap_seeds: UMAP embeddings per model.
        cache_dir: Folder for embeddings; None uses the user's cache.
        metric: The metric that --figure shows.
        figure: File for a picture of a metric against the linear probe: .png, .svg or .pdf.
        published: Print the paper's figures beside these.
        csv: Print CSV: one line per model and metric, and one per correlation.
        latex: Print the table as LaTeX.
    """
    from selector.commands.named import named_metric
    from selector.training.datasets import DATASETS

    if json + csv + latex > 1:
        raise UsageError("give only one of --json, --csv and --latex")
    for name in dataset:
        if name not in DATASETS:
            raise UsageError(f"unknown data set '{name}'{nearest(name, DATASETS)}: {', '.join(DATASETS)}")
    for name, value in (("images", images), ("umap-seeds", umap_seeds)):
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be at least 1, got {value}")
    if latex and probe == "none":
        raise UsageError("--latex prints correlations with the linear probe, but --probe none trains none")
    if figure is not None:
        from selector.paper.figures import refuse_format

        refuse_format(figure)
        if len(dataset) > 1:
            raise UsageError("--figure draws one data set: give one --dataset")
        if probe == "none":
            raise UsageError("--figure draws a metric against the linear probe, but --probe none trains none")
    drawn = named_metric(metric)

    from selector.paper import table_two
    from selector.paper.cache import Cache, user_cache
    from selector.paper.models import PAPER_MODELS, find_model
    from selector.paper.study import StudySettings, load_study_images, study_models
    from selector.reports.progress import progress
    from selector.training.processes import device_named

    where = device_named(device)
    loaded = [load_study_images(name, data_dir, images, clusters, probe) for name in dict.fromkeys(dataset)]
    found = [find_model(name, weights, weights_dir) for name in dict.fromkeys(models or PAPER_MODELS)]
    settings = StudySettings(probe=probe, umap_seeds=umap_seeds)
    cache = Cache(cache_dir or user_cache())
    with progress(quiet, "images") as show_step:
        studies = [study_models(found, split, settings, cache, where, show_step) for split in loaded]
    for study in studies:
        warn(study.warnings)
        if study.untrained:
            warn([f"{study.dataset}: the networks are untrained (--weights none)"])
    if figure is not None:
        from selector.paper.figures import draw_models

        draw_models(studies[0], drawn, figure)
    if csv or latex:
        print((table_two.study_csv if csv else table_two.study_latex)(studies, published), end="")
        return 0

    def draw(console: "Console") -> None:
        for study in studies:
            table_two.print_study(study, console, published)

    return show(json, table_two.study_object(studies, published), draw)
