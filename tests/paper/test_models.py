"""Models by name, as encoders."""

import pytest
import torch
from torch import nn
from torchvision import models

from selector.errors import UserError
from selector.paper.models import PAPER_MODELS, family_of, find_model, without_head


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("resnet18", "resnet"),
        ("resnet152", "resnet"),
        ("wide_resnet50_2", "wide_resnet"),
        ("densenet161", "densenet"),
        ("efficientnet_b0", "efficientnet"),
        ("efficientnet_v2_s", "efficientnet"),
        ("vit_b_16", "vit"),
        ("convnext_tiny", "convnext"),
        ("timm/tf_efficientnet_lite0", "tf_efficientnet_lite"),
        ("googlenet", "googlenet"),
        ("18", "18"),
    ],
)
def test_the_family_is_the_name_without_its_size(name, family):
    assert family_of(name) == family


def test_the_papers_models_are_three_families_of_torchvision():
    families = [family_of(name) for name in PAPER_MODELS]
    assert [families.count(f) for f in ("resnet", "densenet", "efficientnet")] == [5, 4, 8]
    assert set(PAPER_MODELS) <= set(models.list_models(module=models))


@pytest.mark.parametrize(
    ("name", "resolution", "interpolation"),
    [("resnet50", 224, "bilinear"), ("efficientnet_b1", 240, "bicubic"), ("efficientnet_b7", 600, "bicubic")],
)
def test_each_model_wants_the_resolution_it_was_trained_at(name, resolution, interpolation):
    # Tan & Le 2019, table of EfficientNets: 224, 240, …, 600; torchvision's page of each model.
    wanted = find_model(name, "none", None).preprocessing
    assert (wanted.resolution, wanted.interpolation) == (resolution, interpolation)
    assert wanted.mean == pytest.approx((0.485, 0.456, 0.406))
    assert wanted.std == pytest.approx((0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("name", "dimension"),
    [("resnet18", 512), ("densenet121", 1024), ("efficientnet_b0", 1280), ("squeezenet1_1", 512)],
)
def test_the_embedding_is_what_the_classifier_reads(name, dimension):
    network = models.get_model(name, weights=None).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    read = {}
    layers = [part for part in network.modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    layers[-1].register_forward_pre_hook(lambda _, inputs: read.update(x=inputs[0].detach()))
    with torch.no_grad():
        network(images)
        embedding = without_head(network, name)(images)
    assert embedding.shape == (2, dimension)
    expected = read["x"] if read["x"].ndim == 2 else read["x"].mean(dim=(2, 3))
    assert torch.allclose(embedding, expected, atol=1e-6)


def test_a_network_without_a_classifier_is_refused():
    with pytest.raises(UserError, match="mine has no layer with 1000 outputs"):
        without_head(nn.Sequential(nn.Linear(3, 5)), "mine")


def test_untrained_networks_repeat_and_say_so():
    model = find_model("squeezenet1_1", "none", None)
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    built = model.build()
    assert not built.training
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(6)
    second = model.build().state_dict()
    assert all(torch.equal(value, second[name]) for name, value in built.state_dict().items())
    assert model.weights == "untrained, seed 0"
    assert model.digest.startswith("untrained")


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"unknown model 'resnet19', did you mean 'resnet1[08]'"):
        find_model("resnet19", "none", None)


def test_googlenet_is_told_how_its_images_were_scaled():
    assert find_model("googlenet", "none", None).build().transform_input
