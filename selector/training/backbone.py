"""The encoder: a ResNet in its CIFAR form, cut before the classifier."""

from lightly.models import ResNetGenerator
from torch import nn

from selector.config import TrainConfig, own_values


def build_backbone(config: TrainConfig) -> tuple[nn.Module, int]:
    """The encoder and its number of outputs D.

    3x3 stem and no max-pool, as SimCLR uses ResNet-18 for CIFAR-10 (Chen et al. 2020, appendix B.9).
    MoCo-v2's `batch_norm_splits` normalise each part of a batch alone, as its 8 GPUs would: without that,
    query and key of an image share batch statistics, which give the pair away (He et al. 2020, section 3.3).
    """
    splits = own_values(config).get("batch_norm_splits", 0)
    resnet = ResNetGenerator(config.backbone, config.backbone_width, num_splits=splits)
    if (channels := config.channels or 3) != 3:
        wide = resnet.conv1
        resnet.conv1 = nn.Conv2d(channels, wide.out_channels, 3, wide.stride, wide.padding, bias=False)
    stages = [resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4]
    # Lightly's own pooling wants 32 px images; averaging over all positions takes any size.
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten(1)]
    backbone = nn.Sequential(resnet.conv1, resnet.bn1, nn.ReLU(inplace=True), *stages, *pool)
    return backbone, resnet.linear.in_features
