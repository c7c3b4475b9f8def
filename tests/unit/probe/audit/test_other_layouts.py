"""An audit of models whose tensors lie in memory in another way than most."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow

# torch says of all of these that they are new, or old
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


class Rows(nn.Module):
    def __init__(self, layout: torch.layout) -> None:
        super().__init__()
        self.within, self.layout = nn.Linear(4, 4), layout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = list(self.within(x).split([1, 2]))
        return torch.nested.as_nested_tensor(rows, layout=self.layout)


class Elsewhere(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.a(x).to_mkldnn().relu().to_dense()


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_the_loss_of_an_audit_may_be_made_of_a_nested_output(layout: torch.layout) -> None:
    assert gradflow.audit(Rows(layout), inputs=torch.randn(3, 4)).exit_code == 0


def test_rectified_values_in_another_layout_are_passed_over() -> None:
    audit = gradflow.audit(Elsewhere(), inputs=torch.randn(2, 4))
    assert audit.exit_code == 0
    assert not audit.activities
    assert gradflow.audit(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), inputs=torch.randn(2, 4)).activities
