"""A trainable tensor on a plain attribute, of models that are still there at the end and of such that are gone."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import gradflow  # noqa: E402


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.alpha = torch.ones(1, requires_grad=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x) * self.alpha


def train(net: Scale, held: list[torch.Tensor]) -> None:
    optimizer = torch.optim.SGD(held, 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        net(torch.randn(3, 2)).pow(2).mean().backward()
        optimizer.step()


def in_a_function() -> None:
    net = Scale()
    train(net, list(net.parameters()))


def given_to_the_optimizer() -> None:
    net = Scale()
    train(net, [*net.parameters(), net.alpha])


def never_stepped() -> None:
    net = Scale()
    net(torch.randn(3, 2)).pow(2).mean().backward()


def registered_later() -> Scale:
    net = Scale()
    train(net, list(net.parameters()))
    alpha = net.alpha
    del net.alpha
    net.alpha = nn.Parameter(alpha.detach())
    return net


def names(program: Callable[[], object]) -> list[str]:
    with contextlib.redirect_stderr(io.StringIO()), gradflow.explain(quiet=True) as explanation:
        kept = program()
    del kept
    return [each.name for each in explanation.report.diagnostics]


def test_it_is_found_though_the_model_is_gone() -> None:
    assert names(in_a_function) == ["unregistered-params"]


@pytest.mark.parametrize("program", [given_to_the_optimizer, never_stepped, registered_later])
def test_near_misses(program: Callable[[], object]) -> None:
    assert names(program) == []
