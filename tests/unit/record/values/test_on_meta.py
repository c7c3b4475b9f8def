"""A copy on the meta device has the structure of what it was made from, and none of its values."""

from __future__ import annotations

import copy
import warnings

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

import gradflow


class Ensemble(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList(nn.Linear(5, 2) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        weights, buffers = stack_module_state(list(self.members))
        skeleton = copy.deepcopy(self.members[0]).to("meta")
        out: Tensor = vmap(lambda w, b: functional_call(skeleton, (w, b), (x,)))(weights, buffers).mean(0)
        return out


def test_the_skeleton_is_not_blamed_for_what_is_lost_elsewhere() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        report = gradflow.check(Ensemble(), inputs=torch.randn(4, 5), parameter="members.0.weight")
    assert report.verdict == "broken"
    assert not [one for one in report.diagnostics if one.severity == "error"]
    assert report.undetermined
    assert not said


class Mixed(nn.Module):
    """A shape is planned on the meta device, and the values go another way."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.layer(x)
        plan = h.to("meta").flatten() @ torch.ones(8, device="meta")
        return h.new_ones(2, 1 + plan.dim())


def test_values_do_not_go_by_way_of_meta() -> None:
    assert gradflow.check(Mixed(), "layer", inputs=torch.randn(2, 4), target=0).verdict == "unused"


def test_a_model_that_is_on_meta_as_a_whole_is_followed() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)).to("meta")
    assert gradflow.check(model, "0", inputs=torch.randn(2, 4, device="meta"), target=0).verdict == "connected"
