"""Tensors in objects of torch that a model holds are put back; the books that such an object keeps are left alone."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributions import AffineTransform, Independent, Normal, TransformedDistribution

from gradflow.record.state import preserved


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        base = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
        self.prior = TransformedDistribution(base, [AffineTransform(torch.zeros(2), torch.ones(2))])
        self.loader = torch.utils.data.DataLoader([1, 2, 3])


def test_tensors_of_distributions_are_put_back_however_deep_they_lie() -> None:
    model = Model()
    normal, shift = model.prior.base_dist.base_dist, model.prior.transforms[0]
    scale = normal.scale
    with preserved(model):
        normal.loc.add_(1)
        normal.scale = normal.scale * 3
        shift.loc.sub_(2)
    assert normal.loc.tolist() == [0, 0]
    assert normal.scale is scale
    assert shift.loc.tolist() == [0, 0]


def test_what_else_they_hold_is_left_alone() -> None:
    model = Model()
    with preserved(model):
        model.loader.note = "kept"
    assert model.loader.note == "kept"
