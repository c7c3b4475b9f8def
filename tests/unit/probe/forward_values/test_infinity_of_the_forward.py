"""An infinity of the forward is put down to the operation that made it, and not to one that only reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import gradflow

Step = Callable[[torch.Tensor], torch.Tensor]

STEPS: dict[str, Step] = {
    "overflow": lambda h: (h * 400).exp(),  # overflow
    "quotient": lambda h: 1 / h.relu(),  # quotient
    "cast": lambda h: (h * 1e6).half().float(),  # cast
    "logarithm": lambda h: torch.log(h.relu()),  # logarithm
    "written": lambda h: h.masked_fill(h > 0, float("inf")) - 1,  # written
}


class Net(nn.Module):
    def __init__(self, step: Step) -> None:
        super().__init__()
        self.a, self.o, self.step = nn.Linear(4, 6), nn.Linear(6, 2), step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.o(self.step(self.a(x)))


X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


def line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith(text))


def net(step: Step) -> Net:
    torch.manual_seed(0)
    return Net(step)


@pytest.mark.parametrize("name", STEPS)
def test_it_is_told_at_its_own_line_by_both(name: str) -> None:
    model = net(STEPS[name])
    assert not model.step(model.a(X)).isfinite().all()  # so it is, before `o` reads it
    reports = gradflow.check(model, "a", inputs=X), gradflow.audit(model, inputs=X)
    for report in reports:
        found = next(one for one in report.diagnostics if one.code == "GF407")
        assert found.severity == "error"
        assert found.location is not None
        assert found.location.line == line_of(f"# {name}")
        assert "linear" not in found.message
    assert reports[0].verdict == "nan"


class Distances(nn.Module):
    """Infinity stands on the diagonal on purpose; the slope of the root at zero is what is infinite."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x)
        squared = (h[:, None] - h[None]).square().sum(-1)
        squared = squared + torch.diag(torch.full((len(x),), float("inf")))
        return squared.sqrt().min(-1).values.sum()  # root


def test_an_infinite_slope_beside_an_infinity_stays_where_it_is() -> None:
    x = torch.cat([X, X[:1]])  # two that are equal: their distance is zero
    for report in (gradflow.check(Distances(), "a", inputs=x), gradflow.audit(Distances(), inputs=x)):
        found = report.diagnostics[0]
        assert found.code == "GF407"
        assert found.location is not None
        assert found.location.line == line_of("# root")
        assert "sqrt" in found.message


def test_distances_without_equals_are_healthy() -> None:
    assert gradflow.check(Distances(), "a", inputs=X).verdict == "connected"
    assert gradflow.audit(Distances(), inputs=X).diagnostics == ()
