"""What only adds is told from what multiplies by the operations that read it, not by its name."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import gradflow  # noqa: E402


class Gated(nn.Module):
    def __init__(self, name: str, how: str) -> None:
        super().__init__()
        self.a, self.fc, self.name, self.how = nn.Linear(4, 4), nn.Linear(4, 2), name, how
        self.register_parameter(name, nn.Parameter(torch.zeros(4)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        own = getattr(self, self.name)
        if self.how == "multiplies":
            return self.fc(x + own * self.a(x))
        if self.how == "multiplies a view":
            return self.fc(x + own.view(1, 4) * self.a(x))
        return self.fc((self.a(x) + own - 100).relu())


@pytest.mark.parametrize("name", ["gate", "bias", "debias_gate"])
@pytest.mark.parametrize("how", ["multiplies", "multiplies a view"])
def test_a_factor_of_zero_is_waited_for_whatever_it_is_called(name: str, how: str) -> None:
    report = gradflow.audit(Gated(name, how), inputs=torch.randn(2, 4))
    assert [(one.name, one.severity) for one in report.diagnostics] == [("zero-multiplier", "info")]


@pytest.mark.parametrize("name", ["gate", "bias"])
def test_what_is_only_added_is_not_waited_for(name: str) -> None:
    report = gradflow.audit(Gated(name, "adds"), inputs=torch.randn(2, 4))
    assert {one.name for one in report.diagnostics} == {"saturation"}


def test_what_cancels_whatever_the_factor_is_does_not_wait_for_it() -> None:
    class Differences(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.scale = nn.Linear(3, 4), nn.Parameter(torch.zeros(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = self.embed(x)
            return ((z.unsqueeze(0) - z.unsqueeze(1)).square() * (1 + self.scale)).sum(-1)

    net, x = Differences(), torch.randint(-8, 9, (6, 3)) / 8
    with torch.no_grad():
        for parameter in net.embed.parameters():
            parameter.copy_(torch.randint(-8, 9, parameter.shape) / 8)
    report = gradflow.audit(net, inputs=x, loss=lambda output: output.sum())
    assert "zero-multiplier" not in {one.name for one in report.diagnostics}
