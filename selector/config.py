"""TrainConfig: what one training run was asked for. YAML key = CLI flag = wandb.config key = field."""

from dataclasses import dataclass, field, make_dataclass
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from selector.ranges import Count, NotNegative, Positive, Range, Share, Shown, SomeCount
from selector.training.datasets import DATASETS
from selector.training.methods import METHODS, OwnField, method_named

if TYPE_CHECKING:
    Method = str
    Dataset = str
else:
    Method = Literal[tuple(METHODS)]
    Dataset = Literal[tuple(DATASETS)]
Backbone = Literal["resnet-9", "resnet-18", "resnet-34", "resnet-50", "resnet-101", "resnet-152"]


@dataclass(frozen=True)
class TrainConfig:
    """Train one self-supervised encoder and log label-free metrics at every milestone.

    The defaults shown are those of the chosen method in Xu, Lowe & Trappenberg, section III-B.
    """

    method: Method = "simclr"
    """Self-supervised method. Its paper defaults fill every value that is not given."""

    # Data
    dataset: Dataset = "digits"
    """Images to train on; `folder` takes any tree of images, with or without labels."""
    data_dir: str | None = None
    """Folder that holds the data set (not needed for digits)."""
    image_size: SomeCount = None
    """Side of the square images in pixels; None keeps the data set's own (folder: 64)."""
    holdout: Annotated[float, Range(above=0, below=1)] = 0.2
    """Share of the images held out for evaluation where a data set has no test split of its own."""
    train_images: SomeCount = None
    """Use only this many training images, drawn with seed 0; None uses all."""
    evaluation_images: SomeCount = None
    """Use only this many evaluation images, drawn with seed 0; None uses all."""
    labels: bool = True
    """With False, labels that the data set has are ignored, and only label-free metrics are computed."""
    skip_bad_images: bool = False
    """Skip and count unreadable images in a folder, instead of stopping."""
    channels: SomeCount = None
    """Channels of the images, such as 1 for grey or 13 for Sentinel-2; None makes all images RGB."""
    pixel_range: tuple[float, float] | None = None
    """Values that mean black and white; None: 0 255 for 8-bit images, else the training images' range."""
    background: str = "white"
    """Colour behind the transparent parts of a folder's images."""

    # Encoder and heads
    backbone: Backbone = "resnet-18"
    """Encoder with a 3x3 stem and no max-pool (Lightly's ResNetGenerator, CIFAR form)."""
    backbone_width: Annotated[float, Range(above=0, at_least=1 / 64)] = 1.0
    """Multiplier of all channel counts; 1 gives resnet-18 its 512 dimensions."""
    projector_hidden: Count = 2048
    """Width of the projection head's hidden layers."""
    projector_dim: Count = 128
    """Outputs of the projection head."""

    # Optimiser: SGD, one-cycle learning rate, momentum cycled the other way
    epochs: Count = 1000
    """Epochs of self-supervised training."""
    batch_size: Annotated[int, Range(above=0, at_least=2)] = 512
    """Images per step (the paper does not say; 512 is SimCLR's and SimSiam's for CIFAR-10)."""
    learning_rate: Positive = 0.5
    """Peak of the one-cycle schedule, used as given: not scaled by the batch size."""
    weight_decay: NotNegative = 1e-4
    """L2 penalty of SGD on all parameters."""
    momentum_min: Annotated[float, Range(at_least=0, below=1)] = 0.85
    """SGD momentum at the learning rate's peak."""
    momentum_max: Annotated[float, Range(at_least=0, below=1)] = 0.95
    """SGD momentum at both ends of the schedule."""
    warmup_fraction: Share = 0.3
    """Share of the steps in which the learning rate rises."""

    # Views: SimCLR's CIFAR-10 augmentations
    crop_scale_min: Annotated[float, Range(above=0, at_most=1)] = 0.08
    """Smallest share of the image's area that a random resized crop keeps."""
    flip_probability: Share = 0.5
    """Probability of a horizontal flip."""
    jitter_strength: NotNegative = 0.5
    """Strength of the colour jitter (SimCLR: 0.5 for CIFAR-10, 1 for ImageNet)."""
    jitter_probability: Share = 0.8
    """Probability of a colour jitter."""
    grayscale_probability: Share = 0.2
    """Probability that a view loses its colours."""
    blur_probability: Share = 0.0
    """Probability of a Gaussian blur (SimCLR: 0 for CIFAR-10, 0.5 for ImageNet)."""
    rotation_degrees: Annotated[float, Range(at_least=0, at_most=180)] = 0.0
    """Rotate each view by up to this many degrees either way before cropping; 0: no rotation."""

    # Milestones
    milestone_every: Count = 20
    """Epochs between milestones; the untrained network and the last epoch are milestones too."""
    clusters: Annotated[int | None, Range(at_least=2)] = None
    """k1 of the clustering metrics; None uses the number of classes."""
    probe: Literal["paper", "fast", "none"] = "fast"
    """Linear probe: the paper's (Adam, 20 augmented epochs) or logistic regression on fixed features."""
    umap_seeds: Annotated[int, Range(at_least=0)] = 1
    """UMAP layouts per milestone: metrics are means over them; with two or more, `noise/*` is the spread."""
    umap_engine: Literal["fast", "umap-learn"] = "fast"
    """UMAP layout: our own code, whose result does not depend on the threads, or umap-learn itself."""
    metrics: str = ""
    """Families or names of metrics to compute, such as "spectral,views,probes"; "" computes all of them."""
    entropy_bin_width: Positive = 0.4
    """Bin width of H(Z3) in standard deviations (the paper: 0.4, pretrained models 0.8)."""
    rankme_images: Count = 25_600
    """Training images that RankMe is computed from (all, if there are fewer)."""
    lidar_images: Annotated[int | None, Range(at_least=0)] = None
    """Training images whose training views LiDAR and alignment compare; None: common views; 0: skip both."""
    lidar_views: Annotated[int, Range(at_least=2)] = 10
    """Training views of each of these images; there are always two common views."""
    keep: Literal["last", "all"] = "last"
    """Checkpoints to keep: the last milestone's, or every milestone's."""

    # Machine
    seed: Annotated[int, Range(at_least=0, below=2**63)] = 0
    """Seed of the weights, the order of the images and the augmentations."""
    precision: Literal["32", "bf16", "fp16"] = "32"
    """Arithmetic of the training steps; embeddings are always computed in float32."""
    compile: bool = False
    """Compile the encoder (torch.compile): faster steps after the first minute; worth it for longer runs."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    devices: Count = 1
    """Processes that share each batch: one per GPU, or without GPUs each with a share of the cores."""
    threads: SomeCount = None
    """CPU threads of each process; None uses all cores."""
    checkpoint_minutes: Annotated[float | None, Range(above=0)] = 10.0
    """Most minutes of training that a killed run has to repeat; None saves only at milestones."""
    output_dir: str | None = None
    """Folder for checkpoints; None uses $WANDB_DIR/runs, or runs/ without it."""
    init_from: str | None = None
    """Start from the encoder and heads of this train.py checkpoint, instead of random ones."""
    resume: bool = False
    """Continue an interrupted run of the same configuration from its last checkpoint."""

    @property
    def chosen_metrics(self) -> tuple[str, ...]:
        """What `metrics` names."""
        return tuple(name.strip() for name in self.metrics.split(",") if name.strip())

    def __post_init__(self) -> None:
        for name, limits in _RANGES.items():
            value = getattr(self, name)
            if value is not None and (problem := limits.problem(value)):
                raise ValueError(f"{name} {problem}, got {value}")
        if not self.momentum_min <= self.momentum_max:
            raise ValueError(
                f"momentum_min {self.momentum_min} must not be above momentum_max {self.momentum_max}"
            )
        # A value that the method would ignore is refused: a sweep over it would sweep nothing.
        for name in OWN_FIELDS:
            given, wanted = getattr(self, name) is not None, name in METHODS[self.method].own
            if given and not wanted:
                having = [other.name for other in METHODS.values() if name in other.own]
                raise ValueError(
                    f"{name} has no effect on {self.method}; it belongs to {' and '.join(having)}"
                )
            if wanted and not given:
                raise ValueError(f"{name} must be given for {self.method}")
        if problem := METHODS[self.method].refuse(vars(self)):
            raise ValueError(problem)
        if self.pixel_range is not None and not -inf < self.pixel_range[0] < self.pixel_range[1] < inf:
            raise ValueError(f"pixel_range must be two rising numbers, got {self.pixel_range}")
        if self.probe == "paper" and self.channels not in (None, 1, 3):
            raise ValueError(f"probe paper augments colour images, channels is {self.channels}: use fast")
        if self.metrics:
            from selector.metrics import MetricSettings

            MetricSettings(2, metrics=self.chosen_metrics)  # refuses unknown names
        if DATASETS[self.dataset].folder != "none" and self.data_dir is None:
            raise ValueError(f"data set {self.dataset} needs --data-dir")


# The hyperparameters that only some methods have; None stands in the fields of the others.
OWN_FIELDS = {name: own for method in METHODS.values() for name, own in method.own.items()}

if not TYPE_CHECKING:

    def _own_field(name: str, own: OwnField) -> tuple[str, Any, Any]:
        having = ", ".join(method.name for method in METHODS.values() if name in method.own)
        default = METHODS["simclr"].own[name].default if name in METHODS["simclr"].own else None
        kind = Annotated[own.kind | None, own.limits, Shown(help=f"{own.meaning} ({having})")]
        return name, kind, field(default=default)

    TrainConfig = make_dataclass(
        "TrainConfig",
        [_own_field(name, own) for name, own in OWN_FIELDS.items()],
        bases=(TrainConfig,),
        frozen=True,
        namespace={"__module__": __name__, "__doc__": TrainConfig.__doc__},
    )


_RANGES = {
    name: limits
    for name, hint in get_type_hints(TrainConfig, include_extras=True).items()
    for limits in getattr(hint, "__metadata__", ())
    if isinstance(limits, Range)
}


def own_values(config: TrainConfig) -> dict[str, Any]:
    """The values of the hyperparameters that the configuration's method has of its own."""
    return {name: getattr(config, name) for name in METHODS[config.method].own}


def paper_recipe(method: Method) -> TrainConfig:
    """The recipe of a method: for SimSiam, SimCLR and MoCo-v2 that of Xu, Lowe & Trappenberg, section III-B.

    Raises:
        UserError: There is no method of that name.
    """
    known = method_named(method)
    own: dict[str, Any] = dict.fromkeys(OWN_FIELDS) | {name: own.default for name, own in known.own.items()}
    return TrainConfig(method=method, **known.recipe, **own)
