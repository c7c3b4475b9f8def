"""Weights that get little for another reason than the depth are no vanishing gradient; those beside them hide none."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import softmax

import gradflow
from gradflow.audit_report import AuditReport


class Attention(nn.Module):
    """With small weights it is nearly uniform: queries and keys then get next to nothing, values do not."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.fused = fused
        self.parts = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
        self.both = nn.Linear(16, 16)
        for part in self.parts[:2]:
            nn.init.normal_(part.weight, std=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (part(x) for part in self.parts)
        if self.fused:
            mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        else:
            mixed = softmax(query @ key.transpose(-1, -2), -1) @ value
        return nn.functional.layer_norm(x + self.both(mixed), (16,))


def deep(count: int, width: int = 16) -> nn.Sequential:
    return nn.Sequential(*(layer for _ in range(count) for layer in (nn.Linear(width, width), nn.Sigmoid())))


class Gated(nn.Module):
    """Many layers, times one that gets a good gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.deep, self.gate = deep(20), nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.deep(x) * self.gate(x)


class Penalised(nn.Module):
    """A term of the loss looks at the first layer past all others."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.deep = nn.Linear(16, 16), deep(20)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        return self.deep(hidden).square().mean() + hidden.square().mean()


class Scaled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 1e-7


class Unrolled(nn.Module):
    """The same cell over and over, behind two layers and before three."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.cell = nn.Sequential(nn.Linear(4, 16), nn.Linear(16, 16)), nn.RNNCell(16, 16)
        self.after = nn.Sequential(*(nn.Linear(16, 16) for _ in range(3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.before(x)
        for _ in range(40):
            hidden = self.cell(torch.zeros_like(hidden), hidden)
        return self.after(hidden)


def audited(model: nn.Module, *shape: int) -> AuditReport:
    return gradflow.audit(model, inputs=torch.randn(*shape))


def of_depth(report: AuditReport) -> list[str]:
    return [found.code for found in report.diagnostics if found.code in ("GF408", "GF409")]


@pytest.mark.parametrize("fused", [False, True])
def test_queries_and_keys_are_not_compared_with_other_weights(fused: bool) -> None:
    torch.manual_seed(0)
    report = audited(nn.Sequential(Attention(fused), Attention(fused), nn.Linear(16, 16), nn.Linear(16, 3)), 2, 5, 16)
    assert report.depth is not None
    assert of_depth(report) == []
    sizes = {one.name: one.l2_norm for one in report.parameters}
    assert sizes["0.parts.0.weight"] < 1e-4 * sizes["0.parts.2.weight"]  # this is what must not decide


def test_an_attention_behind_many_layers_is_no_excuse() -> None:
    torch.manual_seed(0)
    assert of_depth(audited(nn.Sequential(deep(20), Attention(fused=False), nn.Linear(16, 3)), 2, 5, 16)) == ["GF408"]


def test_small_inputs_are_not_the_depth() -> None:
    torch.manual_seed(0)
    layers = [layer for _ in range(6) for layer in (nn.Linear(16, 16), nn.ReLU())]
    report = audited(nn.Sequential(Scaled(), *layers), 8, 16)
    assert report.depth is not None
    assert (of_depth(report), report.depth.is_judged, report.depth.ratio < 1e-4) == ([], False, True)


@pytest.mark.parametrize("model", [Gated, Penalised])
def test_a_short_way_beside_a_deep_one_hides_nothing(model: type[nn.Module]) -> None:
    torch.manual_seed(0)
    assert of_depth(audited(model(), 8, 16)) == ["GF408"]


def test_a_recurrent_network_over_many_steps() -> None:
    torch.manual_seed(0)
    assert of_depth(audited(Unrolled(), 2, 4)) == ["GF408"]


def test_gradients_that_explode() -> None:
    torch.manual_seed(0)
    layers = [layer for _ in range(80) for layer in (nn.Linear(16, 16), nn.Tanh())]
    for linear in layers[::2]:
        nn.init.normal_(linear.weight, std=1.25)
    assert of_depth(audited(nn.Sequential(*layers), 8, 16)) == ["GF409"]
