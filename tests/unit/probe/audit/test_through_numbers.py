"""An audit follows what leaves torch beside a whole way: as Python numbers, lists, NumPy bytes or text."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable

import numpy
import pytest
import torch
from torch import nn

import gradflow

# reading a number from a tensor with a history is what is tested here
pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")

Detour = Callable[[torch.Tensor], torch.Tensor]


class Net(nn.Module):
    """``detour`` is handed what ``before`` gave, and stands beside the way that is whole; ``after`` is behind both."""

    def __init__(self, detour: Detour) -> None:
        super().__init__()
        self.before, self.after = nn.Linear(3, 4), nn.Linear(4, 2)
        self.detour = detour

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.before(x))
        return self.after(0.3 * h + self.detour(h))


def audited(detour: Detour) -> gradflow.AuditReport:
    torch.manual_seed(0)
    return gradflow.audit(Net(detour), inputs=torch.randn(5, 3))


def as_number(h: torch.Tensor) -> torch.Tensor:
    return h * float(h.norm())


def as_list(h: torch.Tensor) -> torch.Tensor:
    return torch.tensor([[2 * number for number in row] for row in h.tolist()])


def as_json(h: torch.Tensor) -> torch.Tensor:
    return torch.tensor(json.loads(json.dumps(h.tolist())))


def as_pickle(h: torch.Tensor) -> torch.Tensor:
    return torch.tensor(pickle.loads(pickle.dumps(h.tolist())))


def as_bytes(h: torch.Tensor) -> torch.Tensor:
    numbers = h.flatten().tolist()
    return torch.tensor(struct.unpack(f"{len(numbers)}f", struct.pack(f"{len(numbers)}f", *numbers))).view_as(h)


def as_array(h: torch.Tensor) -> torch.Tensor:
    return torch.tensor(numpy.vectorize(lambda number: 2 * number)(h.detach().numpy()))


def filled_in(h: torch.Tensor) -> torch.Tensor:
    filled = torch.zeros_like(h)
    for row in range(len(h)):
        filled[row].fill_(h[row].mean().item())
    return filled


@pytest.mark.parametrize("detour", [as_number, as_list, as_json, as_pickle, as_bytes, as_array, filled_in])
def test_a_part_of_the_gradient_that_leaves_torch_is_missed(detour):
    report = audited(detour)
    found = [one for one in report.diagnostics if one.name == "partial-detach"]
    assert report.exit_code == 1
    lines = range(detour.__code__.co_firstlineno, detour.__code__.co_firstlineno + 5)
    for one in found:
        assert set(one.hides) == {"before.weight", "before.bias"}
        assert one.location is not None
        assert one.location.line in lines
    assert found


def test_bytes_that_cannot_be_followed_are_not_called_whole():
    def as_memory(h: torch.Tensor) -> torch.Tensor:
        memory = numpy.frombuffer(h.detach().numpy().tobytes(), dtype=numpy.float32).copy()
        return torch.from_numpy(memory).view_as(h)

    report = audited(as_memory)
    assert report.exit_code or report.undetermined


def test_each_place_is_told_with_the_parameters_before_it():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 4)

        def forward(self, x):
            h = self.first(x).tanh()
            h = h * h.norm().item()
            h = self.second(h).tanh()
            return h * h.norm().item()

    report = gradflow.audit(Two(), inputs=torch.randn(5, 3))
    first, second = sorted((set(one.hides) for one in report.diagnostics if one.name == "partial-detach"), key=len)
    assert first == {"first.weight", "first.bias"}
    assert second == {*first, "second.weight", "second.bias"}


def logged(h: torch.Tensor) -> torch.Tensor:
    seen.append(h.norm().item())
    return h


def compared(h: torch.Tensor) -> torch.Tensor:
    return h if float(h.norm()) < 1e6 else torch.zeros_like(h)


def as_shape(h: torch.Tensor) -> torch.Tensor:
    return h[: 5 + int(0.01 * float(h.abs().max()))]


def of_what_is_thrown_away(h: torch.Tensor) -> torch.Tensor:
    torch.tensor(h.tolist()).sum()
    return h


def to_find_the_largest(h: torch.Tensor) -> torch.Tensor:
    numbers = h.sum(0).tolist()
    return h * torch.eye(4)[numbers.index(max(numbers))]


seen: list[float] = []


@pytest.mark.parametrize("detour", [logged, compared, as_shape, of_what_is_thrown_away, to_find_the_largest])
def test_numbers_that_only_inform_or_decide_cost_little_and_take_nothing(detour):
    report = audited(detour)
    assert (report.exit_code, report.diagnostics, report.undetermined) == (0, (), ())
    assert report.environment.forward_count <= 2


def test_many_logged_numbers_are_looked_into_together():
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(12))

        def forward(self, x):
            for layer in self.layers:
                x = layer(x).tanh() + x
                seen.append(float(x.mean()))
            return x, seen.append(x.std().item())

    report = gradflow.audit(Deep(), inputs=torch.randn(3, 4), output="0")
    assert (report.exit_code, report.diagnostics, report.undetermined) == (0, (), ())
    assert report.environment.forward_count <= 2


def test_numbers_of_the_input_have_no_gradient_to_lose():
    class Scaled(Net):
        def forward(self, x):
            return self.after(torch.tanh(self.before(x / x.std().item())))

    report = gradflow.audit(Scaled(logged), inputs=torch.randn(5, 3))
    assert (report.exit_code, report.diagnostics, report.undetermined) == (0, (), ())
    assert report.environment.forward_count == 1


def as_text(h: torch.Tensor) -> torch.Tensor:
    return torch.tensor([[float(f"{number:.6f}") for number in row] for row in h.tolist()])


def as_half(h: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(h.detach().numpy().astype("float16").astype("float32"))


@pytest.mark.parametrize("detour", [as_text, as_half])
def test_what_is_rounded_on_its_way_is_not_called_whole(detour):
    """The smallest moves do not change what is rounded, so that the gradient seems to be the derivative."""
    (said,) = audited(detour).undetermined
    assert "very small moves only" in said
    torch.manual_seed(0)
    model, x = Net(detour), torch.randn(5, 3)
    for verify in (False, True):
        assert gradflow.check(model, parameter="before.weight", inputs=x, verify=verify).verdict == "not determined"


def less_the_largest(h: torch.Tensor) -> torch.Tensor:
    # what is taken away from all entries alike makes no difference to a softmax
    largest = numpy.vectorize(float)(h.detach().numpy()).max(axis=1, keepdims=True)
    return torch.softmax(h - torch.from_numpy(largest).to(h.dtype), -1)


def test_what_is_made_up_for_is_whole():
    report = audited(less_the_largest)
    assert (report.exit_code, report.diagnostics, report.undetermined) == (0, (), ())
