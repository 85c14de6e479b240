"""TrainConfig: what one training run was asked for. YAML key = CLI flag = wandb.config key = field."""

from dataclasses import dataclass
from math import inf
from typing import Literal

Method = Literal["simsiam", "simclr", "moco_v2"]
Dataset = Literal["digits", "cifar10", "cifar100", "fashion_mnist", "folder"]
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
    image_size: int | None = None
    """Side of the square images in pixels; None keeps the data set's own (folder: 64)."""
    holdout: float = 0.2
    """Share of the images held out for evaluation where a data set has no test split of its own."""
    train_images: int | None = None
    """Use only so many training images, drawn with the seed 0; None takes all."""
    evaluation_images: int | None = None
    """Use only so many evaluation images, drawn with the seed 0; None takes all."""
    labels: bool = True
    """False ignores the labels that a data set has: only label-free metrics are computed."""
    skip_bad_images: bool = False
    """Leave out unreadable images of a folder, and count them, instead of stopping."""

    # Encoder and heads
    backbone: Backbone = "resnet-18"
    """Encoder with a 3x3 stem and no max-pool (Lightly's ResNetGenerator, CIFAR form)."""
    backbone_width: float = 1.0
    """Multiplier of all channel counts; 1 gives resnet-18 its 512 dimensions."""
    projector_hidden: int = 2048
    """Width of the projection head's hidden layers."""
    projector_dim: int = 128
    """Outputs of the projection head."""
    predictor_hidden: int | None = None
    """SimSiam only: width of the prediction head's bottleneck."""

    # Loss
    temperature: float | None = 0.5
    """SimCLR and MoCo-v2 only: temperature of the InfoNCE loss."""
    encoder_momentum: float | None = None
    """MoCo-v2 only: share of the key encoder that each step keeps."""
    queue_size: int | None = None
    """MoCo-v2 only: number of negative keys kept."""
    batch_norm_splits: int | None = None
    """MoCo-v2 only: BatchNorm groups a batch, in place of the 8 GPUs of MoCo's shuffled BatchNorm."""

    # Optimiser: SGD, one-cycle learning rate, momentum cycled the other way
    epochs: int = 1000
    """Epochs of self-supervised training."""
    batch_size: int = 512
    """Images a step (the paper does not say; 512 is SimCLR's and SimSiam's for CIFAR-10)."""
    learning_rate: float = 0.5
    """Peak of the one-cycle schedule, used as given: not scaled by the batch size."""
    weight_decay: float = 1e-4
    """L2 penalty of SGD on all parameters."""
    momentum_min: float = 0.85
    """SGD momentum at the learning rate's peak."""
    momentum_max: float = 0.95
    """SGD momentum at both ends of the schedule."""
    warmup_fraction: float = 0.3
    """Share of the steps in which the learning rate rises."""

    # Views: SimCLR's CIFAR-10 augmentations
    crop_scale_min: float = 0.08
    """Smallest share of the image's area that a random resized crop keeps."""
    flip_probability: float = 0.5
    """Probability of a horizontal flip."""
    jitter_strength: float = 0.5
    """Strength of the colour jitter (SimCLR: 0.5 for CIFAR-10, 1 for ImageNet)."""
    jitter_probability: float = 0.8
    """Probability of a colour jitter."""
    grayscale_probability: float = 0.2
    """Probability that a view loses its colours."""
    blur_probability: float = 0.0
    """Probability of a Gaussian blur (SimCLR: 0 for CIFAR-10, 0.5 for ImageNet)."""

    # Milestones
    milestone_every: int = 20
    """Epochs between milestones; the untrained network and the last epoch are milestones too."""
    clusters: int | None = None
    """k1 of the clustering metrics; None takes the number of classes."""
    probe: Literal["paper", "fast", "none"] = "paper"
    """Linear probe: the paper's (Adam, 20 augmented epochs) or logistic regression on fixed features."""
    umap_seeds: int = 3
    """UMAP embeddings a milestone; metrics are their mean, `noise/*` their standard deviation."""
    entropy_bin_width: float = 0.4
    """Bin width of H(Z3) in standard deviations (the paper: 0.4, pretrained models 0.8)."""
    rankme_images: int = 25_600
    """Training images that RankMe is computed from (all, where there are fewer)."""
    lidar_images: int = 1000
    """Training images whose augmented views LiDAR and alignment compare; 0 measures neither."""
    lidar_views: int = 10
    """Augmented views of each of these images."""
    keep: Literal["last", "all"] = "last"
    """Checkpoints to keep: the last milestone's, or every milestone's."""

    # Machine
    seed: int = 0
    """Seed of the weights, the order of the images and the augmentations."""
    precision: Literal["32", "bf16", "fp16"] = "32"
    """Arithmetic of the training steps; embeddings are always computed in float32."""
    compile: bool = False
    """Compile the encoder (torch.compile): quicker steps after a minute; pays in runs of many minutes."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    devices: int = 1
    """Processes that share each batch, one a GPU (one a share of the cores without GPUs)."""
    threads: int | None = None
    """CPU threads of each process; None takes all cores."""
    checkpoint_minutes: float | None = 10.0
    """Minutes of training that a killed run repeats at most; None saves at milestones alone."""
    output_dir: str | None = None
    """Folder for checkpoints; None takes $WANDB_DIR/runs, or runs/ without it."""
    resume: bool = False
    """Continue an interrupted run of this very configuration from its last checkpoint."""

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be greater than 0, got {value}")
        for name in _NOT_NEGATIVE:
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in (*_POSITIVE, *_NOT_NEGATIVE):
            if getattr(self, name) == inf:
                raise ValueError(f"{name} must be finite, got inf")
        for name, least in _LEAST.items():
            if (value := getattr(self, name)) is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if self.seed >= 2**63:
            raise ValueError(f"seed must be below 2**63, got {self.seed}")
        for name in _SHARES:
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {value}")
        if not 0 < self.holdout < 1:
            raise ValueError(f"holdout must be between 0 and 1, got {self.holdout}")
        if self.encoder_momentum is not None and not 0 <= self.encoder_momentum < 1:
            raise ValueError(f"encoder_momentum must be from 0 to below 1, got {self.encoder_momentum}")
        if not self.momentum_min <= self.momentum_max < 1:
            raise ValueError(
                f"momentum_min {self.momentum_min} and momentum_max {self.momentum_max}"
                " must rise and stay below 1"
            )
        # A value that the method would ignore is refused: a sweep over it would sweep nothing.
        for name, methods in _ONLY_FOR.items():
            if getattr(self, name) is not None and self.method not in methods:
                raise ValueError(
                    f"{name} has no effect on {self.method}; it belongs to {' and '.join(methods)}"
                )
            if getattr(self, name) is None and self.method in methods:
                raise ValueError(f"{name} must be given for {self.method}")
        if self.batch_norm_splits and self.batch_size % self.batch_norm_splits:
            raise ValueError(
                f"batch_size {self.batch_size} must be a multiple of"
                f" batch_norm_splits {self.batch_norm_splits}"
            )
        if self.batch_norm_splits == self.batch_size:
            raise ValueError(
                f"batch_norm_splits {self.batch_norm_splits} leave one image a part of the batch"
                f" ({self.batch_size}), which has no variance"
            )
        if self.dataset not in ("digits",) and self.data_dir is None:
            raise ValueError(f"data set {self.dataset} needs --data-dir")


_POSITIVE = (
    "image_size", "train_images", "evaluation_images", "backbone_width", "projector_hidden", "projector_dim",
    "predictor_hidden", "temperature", "queue_size", "batch_norm_splits", "epochs", "batch_size",
    "learning_rate",
    "crop_scale_min", "milestone_every", "umap_seeds", "entropy_bin_width", "rankme_images", "threads",
    "devices", "checkpoint_minutes",
)  # fmt: skip
_NOT_NEGATIVE = ("weight_decay", "momentum_min", "jitter_strength", "lidar_images", "seed")
_LEAST = {"batch_size": 2, "lidar_views": 2, "clusters": 2, "backbone_width": 1 / 64}  # of 64 channels one
_SHARES = (
    "crop_scale_min", "flip_probability", "jitter_probability", "grayscale_probability", "blur_probability",
    "warmup_fraction",
)  # fmt: skip
_ONLY_FOR = {
    "temperature": ("simclr", "moco_v2"),
    "predictor_hidden": ("simsiam",),
    "encoder_momentum": ("moco_v2",),
    "queue_size": ("moco_v2",),
    "batch_norm_splits": ("moco_v2",),
}


def paper_recipe(method: Method) -> TrainConfig:
    """The recipe of Xu, Lowe & Trappenberg (section III-B) for one method."""
    match method:
        case "simsiam":
            return TrainConfig(
                method="simsiam", epochs=800, learning_rate=0.06, weight_decay=5e-4, temperature=None,
                projector_dim=2048, predictor_hidden=512,
            )  # fmt: skip
        case "simclr":
            return TrainConfig(
                method="simclr", epochs=1000, learning_rate=0.5, weight_decay=1e-4, temperature=0.5,
            )  # fmt: skip
        case "moco_v2":
            return TrainConfig(
                method="moco_v2", epochs=800, learning_rate=0.06, weight_decay=5e-4, temperature=0.1,
                encoder_momentum=0.99, queue_size=4096, batch_norm_splits=8,
            )  # fmt: skip
