"""Layers that return sparse tensors: what cannot be done with them is said in words."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow
from gradflow.cam.grad_cam import grad_cam
from gradflow.errors import GradflowError

X = torch.linspace(-1, 1, 8).reshape(2, 4)


class ToSparse(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to_sparse()


class Net(nn.Module):
    def __init__(self, *, is_cut: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.sparse, self.is_cut = nn.Linear(4, 4), ToSparse(), is_cut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.sparse(self.first(x))
        return torch.sparse.mm(h.detach() if self.is_cut else h, torch.ones(4, 3))


def test_a_sparse_output_cannot_be_verified_and_has_no_map_and_that_is_said() -> None:
    report = gradflow.check(Net(), "sparse", inputs=X, target=1, verify=True, cam=True)
    assert report.verdict == "connected"
    assert report.cam is None
    assert "no spatial axes" in report.cam_refusal
    (finding,) = report.diagnostics
    assert (finding.severity, finding.notes) == (
        "info",
        ("because the output of `sparse` cannot be moved: it is a sparse tensor",),
    )


def test_a_cut_behind_it_is_found() -> None:
    report = gradflow.check(Net(is_cut=True), "sparse", inputs=X, target=1)
    assert (report.verdict, report.diagnostics[0].name) == ("broken", "detach")


def test_the_map_of_a_sparse_activation_is_that_of_the_same_numbers() -> None:
    activation, gradient = torch.relu(torch.randn(1, 2, 3, 3)), torch.randn(1, 2, 3, 3)
    dense = grad_cam(activation, gradient, layer="a", target=0, input_size=(6, 6))
    sparse = grad_cam(activation.to_sparse(), gradient, layer="a", target=0, input_size=(6, 6))
    assert (dense.saliency == sparse.saliency).all()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_nested_activation_has_no_map() -> None:
    nested = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)])
    with pytest.raises(GradflowError, match="nested"):
        grad_cam(nested, nested, layer="a", target=0, input_size=None)
