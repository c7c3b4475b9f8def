"""Of what runs inside transforms of torch and in other threads nothing is said that was not seen."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

import gradflow

X = torch.linspace(-1, 1, 8).reshape(2, 4)


class Net(nn.Module):
    def __init__(self, body: Callable[[Net, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.idle = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(self, x)


def mapped(model: Net, x: torch.Tensor) -> torch.Tensor:
    return model.second(torch.vmap(model.first)(x))


def mapped_and_cut(model: Net, x: torch.Tensor) -> torch.Tensor:
    return model.second(torch.vmap(lambda row: model.first(row).detach())(x))


def differentiated(model: Net, x: torch.Tensor) -> torch.Tensor:
    return model.second(x) + torch.func.grad(lambda y: model.first(y).sum())(x)


TRANSFORMS = [mapped, mapped_and_cut, differentiated]


@pytest.mark.parametrize("body", TRANSFORMS, ids=lambda body: body.__name__)
def test_a_layer_inside_a_transform_is_not_determined(body) -> None:
    report = gradflow.check(Net(body), ["first", "second"], inputs=X, target=1)
    first, second = sorted(report.reports, key=lambda one: one.target.name)
    assert (first.verdict, first.diagnostics) == ("not determined", ())
    assert "`first` ran inside a transform of torch" in first.undetermined[0]
    assert second.verdict == "connected"


def test_the_parameters_of_a_mapped_layer_are_followed_by_autograd() -> None:
    assert gradflow.check(Net(mapped), inputs=X, target=1, parameter="first.weight").verdict == "connected"


def test_a_layer_that_never_ran_is_told_all_the_same() -> None:
    report = gradflow.check(Net(mapped), "idle", inputs=X, target=1)
    assert (report.verdict, report.diagnostics[0].name) == ("unused", "layer-not-called")


def read_in_a_transform(model: Net, x: torch.Tensor) -> torch.Tensor:
    h = model.first(x)
    return x + torch.vmap(lambda row: (row * h.detach()).sum())(x)[:, None]


def test_a_value_that_a_transform_reads_is_not_called_unused() -> None:
    report = gradflow.check(Net(read_in_a_transform), "first", inputs=X, target=1)
    assert report.verdict == "broken"
    assert all(finding.name != "output-discarded" for finding in report.diagnostics)


def in_a_pool(model: Net, x: torch.Tensor) -> torch.Tensor:
    with ThreadPoolExecutor(2) as pool:
        one, other = (pool.submit(layer, x) for layer in (model.first, model.second))
        return one.result().detach() + other.result()


@pytest.mark.parametrize(
    ("body", "where"),
    [(differentiated, "inside a transform of torch"), (in_a_pool, "in another thread")],
    ids=["transform", "thread"],
)
def test_an_audit_does_not_say_that_nothing_reads_them(body, where: str) -> None:
    report = gradflow.audit(Net(body), inputs=X)
    silent = {one.name for one in report.parameters if one.state == "none" and not one.name.startswith("idle")}
    assert silent
    told = {name for finding in report.diagnostics for name in finding.hides}
    assert told == {"idle.weight", "idle.bias"}
    assert any(where in sentence and sentence.startswith("why `first") for sentence in report.undetermined)


def test_a_check_follows_a_layer_of_a_pool() -> None:
    report = gradflow.check(Net(in_a_pool), ["first", "second"], inputs=X, target=1)
    verdicts = {one.target.name: one.verdict for one in report.reports}
    assert verdicts == {"first": "broken", "second": "connected"}


class Inside(torch.autograd.Function):
    """Calls a layer, in another thread or in this one."""

    @staticmethod
    def forward(ctx, x, layer, in_a_thread):
        if not in_a_thread:
            return layer(x) * 1
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(layer, x).result().detach() * 1

    @staticmethod
    def backward(ctx, grad):
        return grad, None, None


@pytest.mark.parametrize("in_a_thread", [True, False])
def test_a_layer_that_a_function_calls_was_called(in_a_thread: bool) -> None:
    def body(model: Net, x: torch.Tensor) -> torch.Tensor:
        return model.second(Inside.apply(x.clone().requires_grad_(), model.first, in_a_thread))

    report = gradflow.check(Net(body), "first", inputs=X, target=1)
    assert report.verdict == ("broken" if in_a_thread else "not determined")
    assert not {"functional-bypass", "layer-not-called"}.intersection(one.name for one in report.diagnostics)
    assert any(("thread" if in_a_thread else "inside") in sentence for sentence in report.undetermined)


class ReadsInAThread(nn.Module):
    """Holds parameters that a plain function of another thread reads, and one that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head, self.read, self.idle = nn.Linear(4, 3), nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def work() -> torch.Tensor:
            return (x * self.read).detach()

        with ThreadPoolExecutor(1) as pool:
            return self.head(x + pool.submit(work).result())


def test_a_parameter_with_which_the_score_moves_is_not_called_unread() -> None:
    report = gradflow.audit(ReadsInAThread(), inputs=X)
    assert [finding.hides for finding in report.diagnostics] == [("idle",)]
    assert "why `read` gets no gradient, because the score moves with it" in report.undetermined[0]
