"""GF109 proposes what can be done: integers cannot require grad, and a layer without parameters has none to learn."""

from __future__ import annotations

import torch
from torch import nn

import gradflow


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.early, self.act, self.head = nn.Embedding(10, 8), nn.Tanh(), nn.Linear(8, 3)
        self.requires_grad_(False)

    def forward(self, ids):
        return self.head(self.act(self.early(ids)).mean(1))


def helps(model: nn.Module, layer: str, inputs: torch.Tensor) -> list[str]:
    (found,) = gradflow.check(model, layer, inputs=inputs).diagnostics
    assert found.code == "GF109"
    return [one.text for one in found.helps]


def test_an_input_of_integers_is_not_asked_to_require_grad():
    (text,) = helps(Words(), "early", torch.randint(0, 10, (2, 4)))
    assert "model.early.requires_grad_(True)" in text


def test_a_layer_without_parameters_is_not_asked_to_learn():
    model, ids = Words(), torch.randint(0, 10, (2, 4))
    (text,) = helps(model, "act", ids)
    assert 'model.get_parameter("early.weight").requires_grad_(True)' in text
    model.get_parameter("early.weight").requires_grad_(True)
    assert gradflow.check(model, "act", inputs=ids).connected


def test_an_input_of_real_numbers_is():
    model = nn.Sequential(nn.Identity(), nn.Linear(4, 4), nn.Linear(4, 2)).requires_grad_(False)
    assert "x.requires_grad_(True)" in helps(model, "1", torch.randn(2, 4))[0]
    assert "x.requires_grad_(True)" in helps(model, "0", torch.randn(2, 4))[0]
