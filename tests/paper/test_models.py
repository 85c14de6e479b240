"""Models by name, as encoders; files of weights: found, read, refused."""

import pickle

import pytest
import torch
from torch import nn
from torchvision import models

from selector.errors import UserError
from selector.paper.models import (
    PAPER_MODELS,
    digest_of,
    family_of,
    find_model,
    find_weights,
    read_state,
    without_head,
)

URL = "https://example.org/models/net_someone-0123abcd.pth"


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights of squeezenet1_1 (5 MB) under the plainest of names."""
    where = tmp_path_factory.mktemp("weights")
    torch.manual_seed(3)
    torch.save(models.get_model("squeezenet1_1", weights=None).state_dict(), where / "squeezenet1_1.pth")
    return where


@pytest.mark.parametrize(
    "name", ["net_someone-0123abcd.pth", "net.pth", "net.pt", "net.bin", "net-89abcdef.pth"]
)
def test_the_names_a_file_may_have(tmp_path, name):
    (tmp_path / "net2-01234567.pth").touch()  # another model's
    (tmp_path / "net-notes.pth").touch()
    (tmp_path / name).touch()
    assert find_weights(tmp_path, "net", URL) == tmp_path / name


def test_two_candidates_are_not_chosen_between(tmp_path):
    for name in ("net-01234567.pth", "net-89abcdef.pth"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"2 files .* may be the weights of net .*leave one"):
        find_weights(tmp_path, "net", None)


def test_the_digest_of_tensors_sees_names_shapes_and_values():
    one = {"a": torch.zeros(2, 3)}
    others = [{"b": torch.zeros(2, 3)}, {"a": torch.zeros(3, 2)}, {"a": torch.eye(3)[:2]}]
    assert digest_of(one) == digest_of({"a": torch.zeros(2, 3)})
    assert len({digest_of(one), *map(digest_of, others)}) == 4


def test_what_training_scripts_wrap_around_weights_is_taken_off(tmp_path):
    state = {"module.w": torch.ones(2)}
    for content in (state, {"state_dict": state, "epoch": 3}, {"model": state}):
        torch.save(content, tmp_path / "w.pth")
        assert list(read_state(tmp_path / "w.pth")) == ["w"]


def test_densenets_old_names_are_the_new_ones(tmp_path):
    torch.save({"features.denseblock1.denselayer2.norm.1.weight": torch.ones(2)}, tmp_path / "d.pth")
    assert list(read_state(tmp_path / "d.pth")) == ["features.denseblock1.denselayer2.norm1.weight"]


class Evil:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: path.write_bytes(b"<html>404</html>"), "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: path.write_bytes(pickle.dumps(Evil())), "cannot be read"),
        (lambda path: torch.save([1, 2], path), "do not hold a state dict"),
        (lambda path: torch.save({"a": 1}, path), "do not hold a state dict"),
        (lambda path: torch.save({}, path), "do not hold a state dict"),
    ],
)
def test_other_files_are_refused_in_one_line_and_not_executed(tmp_path, capsys, write, said):
    write(tmp_path / "w.pth")
    with pytest.raises(UserError, match=said) as refusal:
        read_state(tmp_path / "w.pth")
    assert "\n" not in str(refusal.value)
    assert "executed" not in capsys.readouterr().out


def test_a_cut_file_is_refused(tmp_path, folder):
    whole = (folder / "squeezenet1_1.pth").read_bytes()
    (tmp_path / "squeezenet1_1.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cannot be read .*: fetch the file again"):
        find_model("squeezenet1_1", "imagenet", tmp_path).build()


def test_the_weights_of_another_architecture_are_refused(folder, tmp_path):
    (tmp_path / "resnet18.pth").write_bytes((folder / "squeezenet1_1.pth").read_bytes())
    with pytest.raises(
        UserError, match=r"are not those of resnet18: they lack conv1.weight and \d+ more, hold"
    ):
        find_model("resnet18", "imagenet", tmp_path).build()


def test_no_network_is_one_clear_line(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(
        UserError, match=r"could not be downloaded .*: put resnet18-f37072fd.pth into a folder"
    ):
        find_model("resnet18", "imagenet", None)
