"""Where vectors come from: named parts, functions, and outputs that are no vectors."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from selector.errors import UserError
from selector.training.encoder import Encoder


@dataclass
class Output:
    """As the models of transformers give it."""

    last_hidden_state: torch.Tensor


class Model(nn.Module):
    def __init__(self, output) -> None:
        super().__init__()
        self.student = nn.Module()
        self.student.backbone = lambda x: output
        self.projection_head = nn.Identity()


TOKENS = torch.arange(24.0).view(2, 3, 4)
MAPS = torch.arange(24.0).view(2, 3, 2, 2)


@pytest.mark.parametrize(
    ("output", "pool", "expected"),
    [
        (TOKENS[:, 0], None, TOKENS[:, 0]),
        (MAPS[:, :, :1, :1], None, MAPS[:, :, 0, 0]),
        (TOKENS, "cls", TOKENS[:, 0]),
        (TOKENS, "mean", torch.tensor([[4.0, 5, 6, 7], [16, 17, 18, 19]])),
        (MAPS, "mean", torch.tensor([[1.5, 5.5, 9.5], [13.5, 17.5, 21.5]])),
        (Output(TOKENS), "cls", TOKENS[:, 0]),
    ],
)
def test_vectors_are_what_was_asked_for(output, pool, expected) -> None:
    found = Encoder("student.backbone", pool=pool)(Model(output), torch.zeros(2, 1))
    assert torch.equal(found["backbone"], expected)
    assert torch.equal(found["projector"], expected)


@pytest.mark.parametrize(
    ("output", "pool", "said"),
    [
        ((TOKENS, MAPS), None, r"gives a tuple of 2, .*module\.student\.backbone\(x\)\[0\]"),
        ({"cls": TOKENS}, "mean", r"gives a dict with 'cls', .*\(x\)\['cls'\]"),
        (Output(TOKENS), None, "gives a Output"),
        (TOKENS.numpy(), None, r"gives a ndarray, expected a tensor \(B, D\)$"),
        (TOKENS, None, r"tokens \(B, T, D\) of shape \(2, 3, 4\), .*pool="),
        (MAPS, None, r"maps \(B, C, H, W\) of shape \(2, 3, 2, 2\)"),
        (MAPS, "cls", r"maps \(B, C, H, W\)"),
        (torch.zeros(2), None, r"an array of shape \(2,\), not vectors \(B, D\)$"),
        (torch.zeros(1, 4), None, "gives 1 vector for a batch of 2"),
    ],
)
def test_other_outputs_are_named(output, pool, said: str) -> None:
    with pytest.raises(UserError, match=said) as refusal:
        Encoder("student.backbone", pool=pool)(Model(output), torch.zeros(2, 1))
    assert "\n" not in str(refusal.value)


def test_a_part_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"no backbone 'teacher\.backbone' \(.*teacher"):
        Encoder("teacher.backbone")(Model(TOKENS), torch.zeros(2, 1))
