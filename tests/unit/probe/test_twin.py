"""A copy that ran in the place of the layer that was asked for."""

from __future__ import annotations

import copy

import torch
from torch import nn

import gradflow


class Net(nn.Module):
    def __init__(self, spare: nn.Module, used: nn.Module) -> None:
        super().__init__()
        self.spare = spare
        self.used = used

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.used(x)


class OnlyInTraining(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.used(x) + (self.spare(x) if self.training else 0)


def first_cause(model: nn.Module) -> str:
    return gradflow.check(model, "spare", inputs=torch.linspace(-1, 1, 12).reshape(2, 6)).diagnostics[0].name


def test_a_module_with_the_same_weights_is_the_one_that_runs() -> None:
    layer = nn.Linear(6, 6)
    assert first_cause(Net(layer, copy.deepcopy(layer))) == "wrong-module-instance"


def test_a_module_of_the_same_class_with_other_weights_is_no_copy() -> None:
    assert first_cause(Net(nn.Linear(6, 6), nn.Linear(6, 6))) == "layer-not-called"


def test_two_fresh_normalisations_are_no_copies() -> None:
    assert first_cause(Net(nn.LayerNorm(6), nn.LayerNorm(6))) == "layer-not-called"


def test_a_condition_that_keeps_the_layer_out_explains_more() -> None:
    layer = nn.Linear(6, 6)
    assert first_cause(OnlyInTraining(layer, copy.deepcopy(layer)).eval()) == "layer-not-called"


def test_a_weight_that_two_layers_share_is_used_in_the_place_of_the_one_that_never_runs() -> None:
    class Tied(nn.Module):
        def __init__(self, *, by_hand: bool) -> None:
            super().__init__()
            self.emb = nn.Embedding(9, 8)
            self.decoder = nn.Linear(8, 9, bias=False)
            self.decoder.weight = self.emb.weight
            self.by_hand = by_hand

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            h = self.emb(ids).mean(1)
            return h @ self.emb.weight.t() if self.by_hand else h

    ids = torch.zeros(2, 3, dtype=torch.long)
    (found,) = gradflow.check(Tied(by_hand=True), "decoder", inputs=ids).diagnostics
    assert found.name == "functional-bypass"
    assert "shared with `emb`" in found.notes[0]
    # the embedding itself reads the shared weight, which is no detour around the other
    (found,) = gradflow.check(Tied(by_hand=False), "decoder", inputs=ids).diagnostics
    assert found.name == "layer-not-called"
