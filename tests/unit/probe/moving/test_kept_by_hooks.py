"""What a model's own forward hook keeps of a layer's output moves with it in an experiment."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import gradflow


class Hypercolumn(nn.Module):
    """Reads its body's output twice: as it is, and what a hook has kept of it."""

    def __init__(self, keep: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8))
        self.head, self.side = nn.Linear(8, 1), nn.Linear(8, 1)
        self.kept: dict[str, Tensor] = {}
        self.body.register_forward_hook(lambda module, inputs, output: self.kept.update(body=keep(output)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(x).tanh()) + self.side(self.kept["body"])
        return out.sum()


def hypercolumn(keep: Callable[[Tensor], Tensor]) -> Hypercolumn:
    torch.manual_seed(0)
    return Hypercolumn(keep)


@pytest.mark.parametrize(
    "keep", [torch.clone, lambda output: output * 1.0, lambda output: output], ids=["clone", "product", "itself"]
)
def test_what_is_kept_with_its_history_is_a_whole_way(keep: Callable[[Tensor], Tensor]) -> None:
    report = gradflow.check(hypercolumn(keep), "body", inputs=torch.ones(3, 4), verify=True)
    assert report.verdict == "connected"
    assert [each.severity for each in report.diagnostics] == ["info"]
    assert report.diagnostics[0].message == "verified: the gradient at `body` is the derivative of output"


@pytest.mark.parametrize("verify", [False, True])
def test_what_is_kept_without_its_history_is_a_cut(verify: bool) -> None:
    report = gradflow.check(
        hypercolumn(lambda output: output.detach().clone()), "body", inputs=torch.ones(3, 4), verify=verify
    )
    assert report.verdict == "wrong"
    error = report.diagnostics[0]
    assert (error.code, error.severity) == ("GF401", "error")
