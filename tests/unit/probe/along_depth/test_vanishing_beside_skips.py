"""Gradients that vanish on their way through the layers are warned of; branches that are scaled down on purpose not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import gradflow
from gradflow.audit_report import AuditReport


class Residual(nn.Module):
    """``x + factor * inner(x)``; ``join`` writes it."""

    def __init__(
        self, inner: nn.Module, factor: torch.Tensor, join: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    ) -> None:
        super().__init__()
        self.inner, self.factor, self.join = inner, nn.Parameter(factor), join

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.join(x, self.factor * self.inner(x))


def mlp(count: int = 1, activation: type[nn.Module] = nn.GELU) -> nn.Sequential:
    return nn.Sequential(*(layer for _ in range(count) for layer in (nn.Linear(8, 8), activation())), nn.Linear(8, 8))


def add(x: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
    return x + branch


def audited(*layers: nn.Module, shape: tuple[int, ...] = (4, 8)) -> AuditReport:
    torch.manual_seed(0)
    for layer in layers:
        for module in layer.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return gradflow.audit(nn.Sequential(*layers), inputs=torch.randn(*shape))


def codes(report: AuditReport) -> set[str]:
    return {found.code for found in report.diagnostics}


JOINS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "added": add,
    "the other way round": lambda x, branch: branch + x,
    "in place": lambda x, branch: x.clone().add_(branch),
    "after a dropout and a view": lambda x, branch: x + torch.dropout(branch, 0.1, train=True).view_as(x),
    "subtracted": torch.sub,
}


@pytest.mark.parametrize("join", JOINS.values(), ids=JOINS)
def test_a_branch_that_starts_small_beside_its_skip_is_no_vanishing_gradient(
    join: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> None:
    blocks = [Residual(mlp(), torch.full((8,), 1e-6), join) for _ in range(2)]
    report = audited(*blocks, nn.Linear(8, 8), nn.Linear(8, 3))
    assert not codes(report)
    assert report.depth is not None
    assert report.depth.ratio < 1e-4  # as it is measured: the branches are what is small


def test_a_single_number_and_channels_scale_alike() -> None:
    single = [Residual(mlp(), torch.tensor(1e-6), add) for _ in range(3)]
    assert not codes(audited(*single, nn.Linear(8, 3)))
    inner = [nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.GELU(), nn.Conv2d(3, 3, 1)) for _ in range(3)]
    convolutions = [Residual(each, torch.full((3, 1, 1), 1e-6), add) for each in inner]
    report = audited(*convolutions, nn.Flatten(), nn.Linear(48, 3), shape=(2, 3, 4, 4))
    assert not codes(report)


def test_branches_within_branches() -> None:
    nested = [
        Residual(Residual(mlp(), torch.tensor(1e-3), add), torch.tensor(1e-3), add) for _ in range(3)
    ]  # fmt: skip
    assert not codes(audited(*nested, nn.Linear(8, 3)))


def test_a_last_layer_that_starts_small_beside_its_skip() -> None:
    torch.manual_seed(0)
    blocks = [Residual(mlp(), torch.tensor(1.0), add) for _ in range(3)]
    for block in blocks:
        nn.init.normal_(block.inner[-1].weight, std=1e-6)
    assert not codes(gradflow.audit(nn.Sequential(*blocks), inputs=torch.randn(4, 8)))


def test_branches_that_start_at_zero() -> None:
    blocks = [Residual(mlp(), torch.zeros(8), add) for _ in range(3)]
    assert "GF408" not in codes(audited(nn.Linear(8, 8), *blocks, nn.Linear(8, 3)))


def test_a_plain_deep_network_is_warned_of() -> None:
    assert codes(audited(mlp(29, nn.Sigmoid))) == {"GF408"}


def test_so_is_one_within_a_branch() -> None:
    """The skip goes past all of it: what is in it shrinks from layer to layer."""
    one = Residual(mlp(29, nn.Sigmoid), torch.tensor(1.0), add)
    assert codes(audited(one)) == {"GF408"}
    halves = [Residual(mlp(14, nn.Sigmoid), torch.tensor(1.0), add) for _ in range(2)]
    assert codes(audited(*halves)) == {"GF408"}


def test_a_factor_without_a_skip_is_no_excuse() -> None:
    class Shrunk(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 1e-6

    layers = [nn.Linear(8, 8), nn.Linear(8, 8), Shrunk(), *(nn.Linear(8, 8) for _ in range(6))]
    assert "GF408" in codes(audited(*layers))


def test_a_term_of_the_loss_is_no_skip() -> None:
    class WithPenalty(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = mlp(29, nn.Sigmoid)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x).square().mean() + 1e-3 * x.square().mean()

    assert codes(audited(WithPenalty())) == {"GF408"}
