"""An answer does not change with the length of a way or the number of calls; what is not looked at is said."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import torch
from torch import nn

import gradflow
from gradflow.probe.moving import unread
from gradflow.probe.usage import find_usage
from gradflow.record.modules.unregistered import find_unregistered
from gradflow.record.operations.nested import nested_tensors
from gradflow.source import scopes

X = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))


class Triple(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, is_plain: bool) -> torch.Tensor:
        return x * 3

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return gradient * 3, None


class Long(nn.Module):
    """``count`` operations of one kind between a linear layer and the score."""

    def __init__(self, count: int, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.head, self.count, self.kind = nn.Linear(4, 4), nn.Linear(4, 2), count, kind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.fc(x)
        match self.kind:
            case "straight through":
                change = (h.round() - h).detach()
                for _ in range(self.count):
                    change = change.neg().neg()
                h = h + change
            case "made of itself":
                with torch.no_grad():
                    same = self.head.weight
                    for _ in range(self.count):
                        same = same * 1.0
                    self.head.weight.copy_(same)
            case "functions":
                for _ in range(self.count):
                    h = Triple.apply(h, True) / 3
            case "kinds of arguments":
                for number in range(self.count):
                    h = Triple.apply(h, number % 2 == 0) / 3
        return self.head(h)


def checked(count: int, kind: str, parameter: str = "fc.weight") -> gradflow.Report:
    return gradflow.check(Long(count, kind), parameter=parameter, inputs=X, target=0)


@pytest.mark.parametrize(
    ("kind", "parameter", "long"), [("straight through", "fc.weight", 20), ("made of itself", "head.weight", 600)]
)
def test_the_length_of_a_way_changes_nothing(kind: str, parameter: str, long: int) -> None:
    short, longer = checked(1, kind, parameter), checked(long, kind, parameter)
    assert (short.verdict, longer.verdict) == ("connected", "connected")
    assert [one.name for one in short.diagnostics] == [one.name for one in longer.diagnostics]


@pytest.mark.parametrize(
    ("kind", "count", "compared"), [("functions", 4, 4), ("functions", 6, 4), ("kinds of arguments", 8, 8)]
)
def test_of_a_function_that_is_called_often_it_is_said_how_many_calls_were_compared(
    kind: str, count: int, compared: int
) -> None:
    report = checked(count, kind)
    said = [text for text in report.assumptions if "Triple" in text]
    assert report.verdict == "connected"
    assert said == [f"one formula in all calls of `Triple`: of {count}, {compared} were compared with its forward"] * (
        compared < count
    )


class TwoStates(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.head = nn.LSTM(4, 4, num_layers=2, batch_first=True), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.first(x[:, None])
        return self.head(hidden[0])


@pytest.mark.parametrize("most", [0, 8])
def test_ends_that_are_not_looked_into_are_counted(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "MOST", most)
    report = gradflow.check(TwoStates(), parameter="first.weight_ih_l1", inputs=X, target=0)
    said = [text for text in report.undetermined if "why the gradient ends at" in text]
    assert said == [
        "why the gradient ends at 1 more operations, the first of them `lstm`: of 1, 0 were looked into"
    ] * (most == 0)


def second(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return model.fc(x)  # type: ignore[operator]


class HandedOn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return second(self, x)


@pytest.mark.parametrize("name", ["_MOST", "_DEEPEST"])
def test_of_code_that_is_handed_on_too_often_nothing_is_concluded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = find_usage(HandedOn, "fc")
    assert usage is not None
    assert len(usage.calls) == 1
    monkeypatch.setattr(scopes, name, 0)
    assert find_usage(HandedOn, "fc") is None


@pytest.mark.parametrize("depth", [1, 30])
def test_a_parameter_in_nested_lists_is_found_however_deep_it_lies(depth: int) -> None:
    model, nested = nn.Module(), [nn.Linear(1, 1)]
    for _ in range(depth):
        nested = [nested]  # type: ignore[list-item]
    nested.append(nested)  # type: ignore[arg-type]
    model.kept = nested  # type: ignore[assignment]
    ((holder, tensors),) = find_unregistered(model)
    assert (holder.attribute, len(tensors)) == ("kept", 2)


@pytest.mark.parametrize("views", [1, 20])
def test_a_tensor_is_found_behind_any_number_of_views_of_its_array(views: int) -> None:
    kinds = [type(name, (numpy.ndarray,), {}) for name in ("One", "Other")]
    tensor = torch.ones(3)
    array = tensor.numpy()
    for number in range(views):
        array = array.view(kinds[number % 2])
    assert [one is tensor or one.data_ptr() == tensor.data_ptr() for one in nested_tensors([array])] == [True]
