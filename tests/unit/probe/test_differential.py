"""Where a change comes back into torch, from the comparison of two runs row by row."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from torch import nn

from gradflow.graph.dependence import Bridge, analyse
from gradflow.load.loading import workload_from_objects
from gradflow.probe.differential import Entries, entries_of_change
from gradflow.probe.laboratory import Laboratory
from gradflow.probe.moving.influence import find_influence
from gradflow.probe.returned_values import ReturnedValues, find_returned_values, follow_returned, number_exits
from gradflow.probe.shifted_exits import Place, shifted
from gradflow.record.state import preserved
from gradflow.recording import Recording

# reading a number from a tensor with a history is what is tested here
pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")

Compute = Callable[[torch.Tensor], torch.Tensor]


class Net(nn.Module):
    """``compute`` stands between the layer and the score."""

    def __init__(self, compute: Compute) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.compute = compute

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.compute(self.layer(x))


@dataclass
class Found:
    """What the experiments on one network brought."""

    recording: Recording
    returned: ReturnedValues
    by_place: Mapping[Place, tuple[Bridge, ...]]
    influence_bridges: tuple[tuple[str, str], ...]
    forward_count: int

    @property
    def bridges(self) -> list[tuple[str, str]]:
        """Names of the operations at which values left and came back."""
        pairs = [pair for bridges in self.by_place.values() for pair in bridges]
        return [(self.recording.name_of(pair.leave), self.recording.name_of(pair.enter)) for pair in pairs]


def study(compute: Compute, *, influence: bool = False) -> Found:
    torch.manual_seed(0)
    model = Net(compute)
    workload = workload_from_objects(model, torch.rand(2, 4), score=lambda out: out.exp().sum())
    with preserved(model, workload.inputs) as keeper:
        laboratory = Laboratory(workload, keeper, {"layer": model.layer}, {})
        run = laboratory.forward()
        recording = run.recording
        values = recording.layer_values["layer"]
        dependence = analyse(recording, values)
        exits = number_exits(recording, dependence)
        if influence:
            bridges = find_influence(laboratory, "layer", dependence.exits).bridges
            returned = ReturnedValues()
        else:
            bridges = ()
            returned = find_returned_values(laboratory, exits)
        by_place = follow_returned(recording, values, dependence, exits, returned).bridges
    names = tuple((recording.name_of(bridge.leave), recording.name_of(bridge.enter)) for bridge in bridges)
    return Found(
        recording=recording,
        returned=returned,
        by_place=by_place,
        influence_bridges=names,
        forward_count=laboratory.forward_count,
    )


def logged(h: torch.Tensor) -> torch.Tensor:
    _ = f"{h.mean().item():.3f}"
    h.detach().numpy().mean()
    return h * 2


def gate(h: torch.Tensor) -> torch.Tensor:
    return h * h.mean().item()


def two_numbers(h: torch.Tensor) -> torch.Tensor:
    mean, spread = h.mean().item(), h.std().item()
    return (h - mean) / spread


def product_of_two(h: torch.Tensor) -> torch.Tensor:
    return h * (h.mean().item() * h.std().item())


def one_after_the_other(h: torch.Tensor) -> torch.Tensor:
    h = h * h.mean().item()
    return h + h.std().item()


def in_a_list(h: torch.Tensor) -> torch.Tensor:
    return h * torch.tensor([value / 2 for value in h.mean(0).tolist()])


def through_numpy(h: torch.Tensor) -> torch.Tensor:
    return h * torch.from_numpy(numpy.exp(h.detach().numpy()))


def numpy_scalar(h: torch.Tensor) -> torch.Tensor:
    return h * numpy.float32(numpy.exp(h.detach().numpy().mean()))


def square_root(h: torch.Tensor) -> torch.Tensor:
    return h / math.sqrt(float((h * h).sum()))


def in_a_loop(h: torch.Tensor) -> torch.Tensor:
    for _ in range(3):
        h = h * (1 + h.mean().item())
    return h


def after_the_score(h: torch.Tensor) -> torch.Tensor:
    out = h.sum(1)
    out.mean().item()
    return out


def only_compared(h: torch.Tensor) -> torch.Tensor:
    return h * 2 if h.mean().item() > -1e6 else h


@pytest.mark.parametrize("compute", [logged, only_compared])
def test_values_that_only_look_on_cost_one_forward(compute):
    found = study(compute)
    assert found.bridges == []
    assert found.forward_count == 2


@pytest.mark.parametrize("compute", [lambda h: h * 2, lambda h: h[h.argmax().item() // 4] * 1.0])
def test_without_values_that_leave_there_is_no_further_forward(compute):
    assert study(compute).forward_count == 1


def test_the_score_itself_may_be_read():
    # only the sum that makes the score comes after it, and that could still read a number: one forward shows it
    assert study(after_the_score).forward_count == 2


@pytest.mark.parametrize(
    ("compute", "bridges"),
    [
        (gate, [("item", "mul")]),
        (two_numbers, [("item", "sub"), ("item", "div")]),
        (product_of_two, [("item", "mul"), ("item", "mul")]),
        (one_after_the_other, [("item", "mul"), ("item", "add")]),
        (in_a_list, [("tolist", "tensor")]),
        (through_numpy, [("numpy", "from_numpy")]),
        (numpy_scalar, [("numpy", "mul")]),
        (square_root, [("__float__", "div")]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_value_is_followed_from_its_line_to_where_it_comes_back(compute, bridges):
    names = {"__mul__": "mul", "__sub__": "sub", "__truediv__": "div", "__add__": "add", "true_divide": "div"}
    found = [(leave, names.get(enter, enter)) for leave, enter in study(compute).bridges]
    assert found == bridges


def test_in_a_loop_each_turn_has_its_own_way_back():
    bridges = [pair for pairs in study(in_a_loop).by_place.values() for pair in pairs]
    assert len(bridges) == 3
    assert all(bridge.leave < bridge.enter for bridge in bridges)
    assert len({bridge.leave for bridge in bridges}) == 3


def test_a_model_that_is_not_deterministic_is_said_to_be():
    ticks = itertools.count(1)

    def compute(h: torch.Tensor) -> torch.Tensor:
        return h * h.mean().item() * float(next(ticks))

    found = study(compute)
    assert found.bridges == []
    assert set(found.returned.unknown.values()) == {"two runs of the model give different scores"}


def test_random_numbers_are_the_same_in_each_run():
    found = study(lambda h: nn.functional.dropout(h, 0.5) * h.mean().item())
    assert len(found.bridges) == 1


def test_noise_in_a_row_is_not_taken_for_a_value_that_came_back():
    ticks = itertools.count(1)

    def compute(h: torch.Tensor) -> torch.Tensor:
        torch.full((2, 4), float(next(ticks)))  # not used
        return h.detach() * h.mean().item()

    assert study(compute).bridges == [("item", "mul")]


def test_moving_the_layer_finds_the_same_way_back():
    found = study(lambda h: torch.ones(2, 4) * h.mean().item(), influence=True)
    assert found.influence_bridges == (("item", "mul"),)


def test_where_two_runs_part_the_decision_is_behind_it():
    def compute(h: torch.Tensor) -> torch.Tensor:
        bias = torch.ones(2, 4)
        if h.mean() > 0.3:
            return bias.exp()
        return bias.sin()

    found = study(compute, influence=True)
    assert [leave for leave, _ in found.influence_bridges] == ["__bool__"]


class Row:
    """A run of which row ``i`` reads value ``i`` and makes value ``i + 1``, with its sums, made by hand."""

    def __init__(self, outputs: list[int], arguments: list[int] | None = None, names: list[str] | None = None) -> None:
        self.names = names or ["op"] * len(outputs)
        self.operations: Any = SimpleNamespace(site=[0] * len(outputs))
        self.run = SimpleNamespace(recording=self)
        self.sums = SimpleNamespace(
            output_sums=dict(enumerate(outputs)),
            argument_sums=dict(enumerate(arguments or [0] * len(outputs))),
            number_sums=dict(enumerate(arguments or [0] * len(outputs))),
            outside_sums={},
        )

    def __len__(self) -> int:
        return len(self.names)

    def name_of(self, row: int) -> str:
        return self.names[row]

    def inputs_of(self, row: int) -> tuple[int, ...]:
        return (row,)

    def outputs_of(self, row: int) -> tuple[int, ...]:
        return (row + 1,)


def compared(base: Row, changed: Row, again: Row | None = None, moved: tuple[int, ...] = ()) -> Entries:
    return entries_of_change(base, again or base, changed, moved)  # type: ignore[arg-type]


def test_a_change_that_was_handed_on_is_no_entry():
    assert compared(Row([1, 2, 3]), Row([1, 9, 9])).rows == (1,)


def test_a_moved_value_is_no_entry_where_it_is_read():
    assert compared(Row([1, 2, 3]), Row([8, 9, 9]), moved=(0,)).rows == ()


def test_a_changed_argument_is_an_entry_also_where_a_changed_value_is_read():
    assert compared(Row([1, 2, 3]), Row([8, 9, 9], [0, 0, 5]), moved=(0,)).rows == (2,)


def test_a_row_that_differs_between_equal_runs_counts_for_nothing():
    assert compared(Row([1, 2, 3]), Row([1, 9, 3]), again=Row([1, 7, 3])).rows == ()


def test_runs_that_part_are_compared_up_to_there():
    entries = compared(Row([1, 2, 3], names=["a", "b", "c"]), Row([1, 9, 3], names=["a", "b", "d"]))
    assert (entries.rows, entries.parting) == ((1,), 2)


def test_a_run_that_ends_early_parts_at_its_end():
    assert compared(Row([1, 2, 3]), Row([1, 2])).parting == 2


@pytest.mark.parametrize("value", [1.5, -2.0, 0.0, 2 + 1j])
def test_numbers_are_shifted(value):
    assert shifted(value) != value


@pytest.mark.parametrize("value", [3, True, "text", None, math.inf])
def test_what_has_no_derivative_is_not_shifted(value):
    assert shifted(value) == value


def test_arrays_are_copied_before_they_are_shifted():
    tensor = torch.ones(3)
    moved = shifted(tensor.numpy())
    assert moved.dtype == numpy.float32
    assert (moved > 1).all()
    assert torch.equal(tensor, torch.ones(3))
