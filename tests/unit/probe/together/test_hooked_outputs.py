"""The gradient at an output that has a hook of its own does not depend on what else is asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import gradflow

X = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))


class Hooked(nn.Module):
    def __init__(self, hook: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.middle, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.hook = hook

    def forward(self, x: Tensor) -> Tensor:
        h = self.middle(self.first(x))
        h.register_hook(self.hook)
        out: Tensor = self.last(h.relu())
        return out


def norms(model: nn.Module, layers: list[str]) -> dict[str, float | None]:
    report = gradflow.check(model, layers, inputs=X, target=0)
    return {one.target.name: one.gradients[0].l2_norm for one in report.reports}


@pytest.mark.parametrize("factor", [0.0, 0.5, 3.0])
def test_alone_and_beside_others_it_is_the_same(factor: float) -> None:
    model = Hooked(lambda gradient: gradient * factor)
    together = norms(model, ["first", "middle", "last"])
    assert together == {name: norms(model, [name])[name] for name in together}
    plain = norms(Hooked(lambda gradient: gradient), ["middle"])["middle"]
    assert plain is not None
    assert together["middle"] == pytest.approx(factor * plain)


def test_without_a_hook_nothing_is_run_again() -> None:
    class Plain(Hooked):
        def forward(self, x: Tensor) -> Tensor:
            self.runs = getattr(self, "runs", 0) + 1
            seen.append(self.runs)
            out: Tensor = self.last(self.middle(self.first(x)).relu())
            return out

    seen: list[int] = []
    norms(Plain(lambda gradient: gradient), ["first", "middle", "last"])
    assert len(seen) == 1
