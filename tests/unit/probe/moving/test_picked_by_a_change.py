"""Where a change comes back into torch: at the values, and not at the entry that is picked of them by their size."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
numpy = pytest.importorskip("numpy")

from torch import nn  # noqa: E402

import gradflow  # noqa: E402


class Picks(nn.Module):
    """Through NumPy, and then the largest of many entries: which one that is changes with the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(4, 64), nn.Linear(64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = numpy.maximum(numpy.asarray(self.layer(x).detach()), 0)
        y = self.head(torch.as_tensor(h))[0]
        return y[int(y.argmax())]


class Scales(Picks):
    """What is picked by a number that left torch is scaled by another one, which is a way of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head.weight.sum() * float(self.layer(x).detach().sum())


@pytest.mark.parametrize(("model", "enters"), [(Picks, "as_tensor"), (Scales, "mul")])
def test_a_change_comes_back_where_the_numbers_do(model: type[Picks], enters: str) -> None:
    torch.manual_seed(0)
    report = gradflow.check(model(), "layer", inputs=torch.randn(2, 4))
    (found,) = report.diagnostics
    assert report.verdict == "broken"
    assert [step.operation for step in found.path if step.kind == "cut"] == [enters]
