"""A loss that is constant but for rounding is told, where the ways cancel; a faint one that moves is healthy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import gradflow


class Net(nn.Module):
    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.end = nn.Linear(6, 5), nn.Linear(5, 4), end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.second(self.first(x)))


def _itself(h: Tensor) -> Tensor:
    return functional.cosine_similarity(h, h).mean()


def _audit(end: Callable[[Tensor], Tensor]) -> gradflow.AuditReport:
    torch.manual_seed(0)
    return gradflow.audit(Net(end), inputs=torch.randn(3, 6), loss=lambda output: output)


def test_a_tensor_compared_with_itself_is_told_where_that_is_done() -> None:
    (found,) = _audit(_itself).diagnostics
    assert (found.code, found.severity) == ("GF404", "error")
    assert found.message == (
        "all 4 parameters get a gradient that is only rounding error, it dies at `cosine_similarity`"
    )
    assert found.notes[-2].startswith("`cosine_similarity` is given the same tensor twice")
    assert found.hides == ("first.weight", "first.bias", "second.weight", "second.bias")


@pytest.mark.parametrize("layer", ["first", "second"])
def test_a_check_names_the_same_place_for_every_layer_before_it(layer: str) -> None:
    torch.manual_seed(0)
    report = gradflow.check(Net(_itself), layer, inputs=torch.randn(3, 6), score=lambda output: output)
    (found,) = report.diagnostics
    assert report.verdict == "zero"
    assert found.message.endswith("it dies at `cosine_similarity`")
    assert found.location is not None
    assert found.location.function == "_itself"


def test_two_operations_that_cancel_are_not_one_given_the_same_twice() -> None:
    torch.manual_seed(0)
    score = _by_two_operations
    report = gradflow.check(Net(score), "second", inputs=torch.randn(3, 6), score=lambda output: output)
    (found,) = report.diagnostics
    assert report.verdict == "zero"
    assert not any("twice" in note for note in found.notes)


def _by_two_operations(h: Tensor) -> Tensor:
    return (2 * h - (h + h)).sum()


def test_a_loss_that_is_compared_with_itself_by_a_flat_slope_is_told_too() -> None:
    (found,) = _audit(lambda h: functional.mse_loss(h, h)).diagnostics
    assert found.notes[-2] == "`mse_loss` is given the same tensor twice, and it hands on zero"


@pytest.mark.parametrize(
    "end",
    [
        lambda h: 1e-9 * h.pow(2).sum(),
        lambda h: 1e-9 * functional.cosine_similarity(h, h.roll(1, 0)).sum(),
        lambda h: functional.cosine_similarity(h, h.roll(1, 0)).sum(),
    ],
)
def test_what_moves_the_loss_however_little_is_healthy(end: Callable[[Tensor], Tensor]) -> None:
    report = _audit(end)
    assert not report.diagnostics
    assert {one.state for one in report.parameters} == {"gradient"}


def test_what_makes_no_difference_beside_what_does_is_left_alone() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 2))
    report = gradflow.audit(model, inputs=torch.randn(8, 6))
    assert {one.state for one in report.parameters} == {"gradient"}


class Gate(nn.Module):
    """One expert of three, by the share that a router gives it: of the only one that is chosen it is always 1."""

    def __init__(self, best: int) -> None:
        super().__init__()
        self.router, self.head, self.best = nn.Linear(4, 3), nn.Linear(4, 2), best
        self.experts = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        shares, chosen = self.router(x).softmax(-1).topk(self.best, -1)
        shares = shares / shares.sum(-1, keepdim=True)
        made = torch.stack([expert(x) for expert in self.experts], 1)
        return self.head((shares[..., None] * made.gather(1, chosen[..., None].expand(-1, -1, 4))).sum(1))


class Alike(nn.Module):
    """A batch norm over rows that are all the same gives its bias, whatever comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.beside = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.first(x[:1].expand(8, -1))) + self.beside(x)


def _none_of(model: nn.Module, count: int = 8) -> tuple[set[str], gradflow.AuditReport]:
    report = gradflow.audit(model, inputs=torch.randn(count, 4))
    return {one.name for one in report.parameters if one.state == "zero"}, report


def test_a_router_that_cannot_learn_is_told_beside_experts_that_can() -> None:
    torch.manual_seed(0)
    _, report = _none_of(Gate(best=1))
    router = {one.name: one for one in report.parameters if one.name.startswith("router")}
    assert {one.state for one in router.values()} == {"zero"}
    assert any((one.l2_norm or 0.0) > 0.0 for one in router.values())
    found = next(one for one in report.diagnostics if set(one.hides) == set(router))
    assert found.code == "GF404"
    assert "rounding error" in found.message
    assert not any(name in router for name in _none_of(Gate(best=2))[0])


def test_what_a_norm_over_equal_rows_takes_out_is_told_however_large_the_rounding() -> None:
    torch.manual_seed(0)
    zero, report = _none_of(Alike())
    assert zero == {"first.weight", "first.bias", "norm.weight"}
    # whether exactly nothing goes on, or rounding error, is up to the order in which a machine adds
    assert {found.code for found in report.diagnostics} == {"GF404"}


def test_the_first_layers_of_a_deep_net_are_faint_and_learn() -> None:
    torch.manual_seed(0)
    layers = [layer for _ in range(12) for layer in (nn.Linear(16, 16), nn.Sigmoid())]
    report = gradflow.audit(nn.Sequential(*layers), inputs=torch.randn(8, 16))
    first = next(one for one in report.parameters if one.name == "0.weight")
    assert 0.0 < (first.l2_norm or 0.0) < 1e-8
    assert {one.state for one in report.parameters} == {"gradient"}
