"""BatchNorm over processes, here a single one, against torch's own."""

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import nn

from selector.training.batch_norm import SyncedBatchNorm


@pytest.fixture(scope="module", autouse=True)
def alone() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("shape", [(8, 4), (8, 4, 3, 3)])
@pytest.mark.parametrize("affine", [True, False])
def test_outputs_gradients_and_statistics_are_torchs(shape: tuple[int, ...], affine: bool) -> None:
    torch.manual_seed(0)
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    theirs, ours = kind(4, affine=affine).double(), SyncedBatchNorm(4, affine=affine).double()
    if affine:
        nn.init.uniform_(theirs.weight)
        nn.init.uniform_(theirs.bias)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(shape, dtype=torch.float64) * 3 + 5
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    weights = torch.randn(shape, dtype=torch.float64)
    outputs = [layer(given) for layer, given in zip((theirs, ours), inputs, strict=True)]
    for output in outputs:
        (output * weights).sum().backward()
    torch.testing.assert_close(outputs[1], outputs[0])
    torch.testing.assert_close(inputs[1].grad, inputs[0].grad)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    for mine, their in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, their.grad)
