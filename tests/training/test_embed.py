import numpy as np
import pytest
import torch
from torch import nn

from selector.errors import UserError
from selector.training.embed import embed, embed_views, frozen


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))
    with torch.no_grad():
        network(torch.randn(32, 3, 2, 2) + 3)  # running statistics that differ from a batch's own
    return network


def both(network: nn.Module):
    return lambda images: {"backbone": network(images), "projector": network(images)[:, :2]}


def batches(count: int, size: int, labelled: bool = True):
    images = torch.arange(count * 12.0).reshape(count, 3, 2, 2)
    return [
        (part, torch.arange(count)[start : start + size] if labelled else None)
        for start in range(0, count, size)
        for part in [images[start : start + size]]
    ]


def test_running_statistics_are_used_and_left_alone(network: nn.Module) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    got = embed(network, both(network), batches(10, 4), "test", {"backbone": None})["backbone"]
    linear, norm = network[1], network[2]
    x = torch.arange(120.0).reshape(10, 12)
    h = x @ linear.weight.T + linear.bias
    by_hand = (h - norm.running_mean) / (norm.running_var + norm.eps).sqrt()  # weight 1, bias 0, no dropout
    assert got.vectors == pytest.approx(by_hand.detach().numpy(), rel=1e-4)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_vectors_do_not_depend_on_the_batch_size(network: nn.Module) -> None:
    sizes = [embed(network, both(network), batches(10, n), "test", {"backbone": None}) for n in (1, 3, 10)]
    assert sizes[0]["backbone"].vectors == pytest.approx(sizes[2]["backbone"].vectors, rel=1e-5, abs=1e-4)
    assert sizes[1]["backbone"].labels.tolist() == list(range(10))


def test_every_module_gets_its_own_mode_back_and_the_random_state_is_untouched(network: nn.Module) -> None:
    network.train()
    network[2].eval()  # somebody's frozen BatchNorm
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    with frozen(network):
        assert not any(part.training for part in network.modules())
        torch.rand(100)
    assert torch.equal(torch.rand(1), expected)
    assert [part.training for part in network.modules()] == [True, True, True, False, True]


def test_embeddings_are_float32_under_mixed_precision(network: nn.Module) -> None:
    plain = embed(network, both(network), batches(10, 4), "test", {"backbone": None})["backbone"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = embed(network, both(network), batches(10, 4), "test", {"backbone": None})["backbone"]
    assert mixed.vectors.dtype == np.float32
    assert np.array_equal(plain.vectors, mixed.vectors)


def test_no_image_is_refused(network: nn.Module) -> None:
    with pytest.raises(UserError, match="no image in the test split"):
        embed(network, both(network), [], "test", {"backbone": None})


def test_views_are_projected_image_by_image(network: nn.Module) -> None:
    views = torch.arange(10 * 2 * 12.0).reshape(10, 2, 3, 2, 2)
    got = embed_views(network, both(network), views.split(4), ("projector",))["projector"]
    network.eval()
    with torch.no_grad():
        expected = torch.stack([network(views[:, 0])[:, :2], network(views[:, 1])[:, :2]], dim=1)
    assert got == pytest.approx(expected.numpy(), rel=1e-5, abs=1e-4)
    assert got.dtype == np.float32


def test_drawing_views_does_not_move_the_random_state(network: nn.Module) -> None:
    def draw():
        torch.manual_seed(5)
        yield torch.rand(4, 2, 3, 2, 2)

    before = torch.get_rng_state()
    embed_views(network, both(network), draw(), ("projector",))
    assert torch.equal(torch.get_rng_state(), before)
    assert network.training


@pytest.mark.parametrize(
    ("shapes", "message"), [([], "got no batch"), ([(4, 1)], "got 1"), ([(4, 2), (4, 3)], "got 2 and 3")]
)
def test_refuses_views_that_are_no_views(network: nn.Module, shapes, message) -> None:
    with pytest.raises(UserError, match=message):
        embed_views(network, both(network), (torch.ones(*shape, 3, 2, 2) for shape in shapes), ())
