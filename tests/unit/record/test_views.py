"""The gradient at an output that shares memory is that of the same network written without in-place operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import gradflow
from gradflow.record import views

Rest = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From the tensor before the layer and the layer's output to the score."""


class Net(nn.Module):
    """A linear layer, a layer that returns a view of what it gets, and what comes after it."""

    def __init__(self, layer: nn.Module, rest: Rest) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.view = layer
        self.rest = rest

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x).reshape(-1, 3, 2) * 1.5
        return self.rest(h, self.view(h))


class Columns(nn.Module):
    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return h[:, 1:]


class Turned(nn.Module):
    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return h.transpose(1, 2)


WEIGHTS = torch.linspace(-1, 2, 64, dtype=torch.float64)


def weigh(t: torch.Tensor, power: int = 2) -> torch.Tensor:
    return (t.flatten() ** power * WEIGHTS[: t.numel()]).sum()


def written(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return weigh(v.mul_(3.0).sigmoid())


def written_plainly(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return weigh((v * 3.0).sigmoid())


def read_before(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    before = weigh(v * 2.0, 3)
    v.mul_(3.0)
    return before + weigh(v)


def read_before_plainly(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return weigh(v * 2.0, 3) + weigh(v * 3.0)


def twice(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    v.mul_(3.0)
    v.add_(v.detach() * 0 + 1).tanh_()
    return weigh(v)


def twice_plainly(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return weigh((v * 3.0 + 1).tanh())


def part_written(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    v[:, 0] = v[:, 0].exp()
    return weigh(v)


def part_written_plainly(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return weigh(torch.cat([v[:, :1].exp(), v[:, 1:]], 1))


def in_one_activation(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return weigh(nn.functional.relu(v, inplace=True), 3)


def in_one_activation_plainly(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return weigh(nn.functional.relu(v), 3)


def overwritten(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    early = weigh(v * 1.0, 3)
    v.zero_()
    return early + weigh(v + 1)


def overwritten_plainly(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return weigh(v * 1.0, 3) + weigh(v.detach() * 0 + 1)


def base_written(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    h.sin_()
    return weigh(v)


def base_written_plainly(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return weigh(v.sin())


REST = {
    "written": (written, written_plainly),
    "read before it is written": (read_before, read_before_plainly),
    "written twice": (twice, twice_plainly),
    "a part written": (part_written, part_written_plainly),
    "an activation in place": (in_one_activation, in_one_activation_plainly),
    "overwritten": (overwritten, overwritten_plainly),
    "its base written": (base_written, base_written_plainly),
}
LAYERS = {"flatten": nn.Flatten, "slice": Columns, "transpose": Turned, "identity": nn.Identity}


def gradient_in_plain(net: nn.Module, layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Autograd's own word about a network without in-place operations, at the very tensor."""
    kept: list[torch.Tensor] = []

    def keep(module: Any, inputs: Any, output: torch.Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    handle = layer.register_forward_hook(keep)
    net(x).flatten()[0].backward()
    handle.remove()
    assert kept[0].grad is not None
    return kept[0].grad


@pytest.mark.parametrize("how", REST)
@pytest.mark.parametrize("layer", LAYERS)
def test_it_is_the_gradient_of_the_network_written_out_of_place(layer: str, how: str) -> None:
    torch.manual_seed(0)
    in_place, plain = REST[how]
    net = Net(LAYERS[layer](), in_place).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    report = gradflow.check(net, "view", inputs=x, score=lambda y: y)
    net.rest = plain
    expected = gradient_in_plain(net, net.view, x)
    assert report.verdict == "connected"
    assert report.gradients[0].l2_norm == pytest.approx(float(expected.norm()), rel=1e-9)
    assert report.gradients[0].max_abs == pytest.approx(float(expected.abs().max()), rel=1e-9)


def base_read_by_others(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    aside = weigh(h * 0.5, 3)
    v.mul_(3.0)
    return aside + weigh(v)


def test_who_reads_the_base_without_the_view_does_not_count() -> None:
    torch.manual_seed(0)
    net = Net(nn.Flatten(), base_read_by_others).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    report = gradflow.check(net, "view", inputs=x, score=lambda y: y)
    net.rest = lambda h, v: weigh(h * 0.5, 3) + weigh(v * 3.0)
    assert report.gradients[0].l2_norm == pytest.approx(float(gradient_in_plain(net, net.view, x).norm()), rel=1e-9)


class Kept(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[torch.Tensor] = []

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        self.kept.append(h.flatten(1))
        return self.kept[-1]


def test_a_view_that_is_kept_and_read_elsewhere_counts_in_full() -> None:
    torch.manual_seed(0)
    layer = Kept()

    def rest(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        v.mul_(3.0)
        return weigh(layer.kept.pop(), 3)

    net = Net(layer, rest).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    report = gradflow.check(net, "view", inputs=x, score=lambda y: y)
    layer.kept.clear()
    net.rest = lambda h, v: weigh(v * 3.0, 3)
    assert report.gradients[0].l2_norm == pytest.approx(float(gradient_in_plain(net, net.view, x).norm()), rel=1e-9)


def test_several_layers_at_once_each_get_their_own() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 4, dtype=torch.float64)

    def net(in_place: bool) -> nn.Module:
        layers = nn.Linear(4, 6), nn.Unflatten(1, (2, 3)), nn.ELU(1.0, in_place), nn.Flatten(), nn.Linear(6, 2)
        return nn.Sequential(*layers).double()

    writing, plain = net(True), net(False)
    plain.load_state_dict(writing.state_dict())
    report = gradflow.check(writing, "*", inputs=x, target=0)
    for each in report.reports:
        expected = gradient_in_plain(plain, plain.get_submodule(each.target.name), x)
        assert each.gradients[0].l2_norm == pytest.approx(float(expected.norm()), rel=1e-9), each.target.name


def test_a_value_that_backward_needs_and_that_is_overwritten_is_an_error_whoever_is_asked_for() -> None:
    torch.manual_seed(0)
    layers = nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Identity(), nn.ELU(1.0, inplace=True), nn.Linear(6, 2)
    net, x = nn.Sequential(*layers), torch.randn(3, 4)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        net(x)[0, 0].backward()
    for asked in (["0"], ["0", "2"], "*"):
        assert gradflow.check(net, asked, inputs=x, target=0).verdict == "error", asked


def test_a_write_that_cannot_be_followed_is_said_and_gives_no_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "_first_rewriter", lambda node, before: None)
    layers = nn.Conv2d(1, 2, 3), nn.Unflatten(1, (2, 1)), nn.Flatten(1, 2), nn.ReLU(inplace=True), nn.Flatten()
    net = nn.Sequential(*layers, nn.Linear(32, 2)).eval()
    report = gradflow.check(net, "2", inputs=torch.randn(1, 1, 6, 6), target=0, cam=True)
    assert any("could not be followed" in text for text in report.undetermined)
    assert report.cam is None
    assert report.verdict == "not determined"
    assert not [one for one in report.diagnostics if one.severity == "error"]
    followed = gradflow.check(net, "0", inputs=torch.randn(1, 1, 6, 6), target=0)
    assert followed.undetermined == ()


class Tripled(torch.autograd.Function):
    """Writes to its second argument."""

    @staticmethod
    def forward(ctx: Any, other: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
        ctx.mark_dirty(changed)
        return changed.mul_(3.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return None, gradients[0] * 3


class WritesToTheBase(nn.Module):
    def __init__(self, is_read_before: bool) -> None:
        super().__init__()
        self.first, self.flat = nn.Linear(4, 6), nn.Flatten()
        self.other = nn.Parameter(torch.ones(1))
        self.is_read_before = is_read_before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v = self.flat((self.first(x) * 2.0).unflatten(1, (2, 3)))
        before = v * 0.5 if self.is_read_before else torch.zeros(())
        Tripled.apply(self.other, v._base)
        return v + before


@pytest.mark.parametrize("is_read_before", [False, True])
def test_a_function_that_writes_to_another_than_its_first_argument_is_followed(is_read_before: bool) -> None:
    net = WritesToTheBase(is_read_before)
    report = gradflow.check(net, "flat", inputs=torch.randn(3, 4), target=0)
    assert (report.verdict, report.undetermined) == ("connected", ())
    # d(3v + 0.5v) / dv of one entry
    assert report.gradients[0].l2_norm == pytest.approx(3.5 if is_read_before else 3.0)


class Copies(nn.Module):
    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return h[:, :1].expand(-1, 3, 2)


def written_to_the_base(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    h.mul_(2.0)
    return weigh(v)


def test_copies_of_one_entry_whose_base_is_written_to_are_not_given_a_wrong_norm() -> None:
    report = gradflow.check(Net(Copies(), written_to_the_base), "view", inputs=torch.randn(3, 4), score=lambda y: y)
    assert report.verdict == "not determined"
    assert any("could not be followed" in text for text in report.undetermined)


def written_past_autograd(h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    v.detach().clamp_(-1.0, 1.0)
    return weigh(v * 2.0)


def test_after_a_write_past_autograd_a_view_has_another_history_and_no_verdict() -> None:
    net = Net(Columns(), written_past_autograd)
    report = gradflow.check(net, "view", inputs=torch.randn(3, 4), score=lambda y: y)
    assert report.verdict == "not determined"
    assert not report.diagnostics


def test_nothing_of_the_run_is_kept_alive_by_the_watch() -> None:
    torch.manual_seed(0)
    net = Net(nn.Flatten(), written).double()
    before = [(name, id(value)) for name, value in net.named_parameters()]
    gradflow.check(net, "view", inputs=torch.randn(3, 4, dtype=torch.float64), score=lambda y: y)
    assert before == [(name, id(value)) for name, value in net.named_parameters()]
    assert all(parameter.grad is None for parameter in net.parameters())
