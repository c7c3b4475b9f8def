"""Where a backward stops is told by the node that began and did not end, in the operations of the first run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import gradflow  # noqa: E402
from gradflow.probe.other_runs.same_way import row_in  # noqa: E402
from gradflow.recording import OperationColumns, Recording, ValueColumns  # noqa: E402


class Ragged(nn.Module):
    """Torch can sum what is ragged, and has no backward for it; a first run makes what further ones find kept."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 6), nn.Linear(6, 2)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        both = torch.nested.as_nested_tensor([a, b], layout=torch.jagged)
        hidden = torch.nn.functional.silu(self.first(both))
        return self.last(hidden.sum(1))  # here


class Misshapen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
        return gradient[0]


class Refused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        doubled = Misshapen.apply(self.first(x).relu())  # what it hands back
        return self.last(doubled.tanh())


def _line(diagnostic: gradflow.Diagnostic) -> str:
    assert diagnostic.location is not None
    return Path(__file__).read_text().splitlines()[diagnostic.location.line - 1]


@pytest.mark.filterwarnings("ignore:.*nested")
@pytest.mark.parametrize("ask", [gradflow.audit, lambda model, inputs: gradflow.check(model, "first", inputs=inputs)])
def test_what_has_no_backward_is_named_at_its_own_line(ask: Callable[..., object]) -> None:
    report = ask(Ragged(), inputs=(torch.randn(2, 3), torch.randn(4, 3)))
    (one,) = [one for one in report.diagnostics if one.severity == "error"]
    assert "`sum` as it is used here" in one.message
    assert _line(one).endswith("# here")


def test_a_gradient_of_the_wrong_shape_is_put_down_to_what_gave_it() -> None:
    report = gradflow.check(Refused(), "first", inputs=torch.randn(2, 3))
    (one,) = report.diagnostics
    assert _line(one).endswith("# what it hands back")


def _trace(*names: str) -> Recording:
    known = tuple(dict.fromkeys(names))
    return Recording(
        operations=OperationColumns(name=[known.index(name) for name in names], site=[0] * len(names)),
        values=ValueColumns(), names=known, dtypes=(), spans=(), calls=(), leaf_names={}, score=-1, layer_values={},
    )  # fmt: skip


def test_an_operation_of_another_run_is_found_in_the_first_by_its_place_among_its_like() -> None:
    first, other = _trace("made", "linear", "sum", "linear"), _trace("linear", "sum", "linear")
    assert [row_in(first, other, row) for row in range(3)] == [1, 2, 3]
    assert row_in(first, other, -1) == -1


def test_where_one_run_has_more_of_them_it_is_not_sure_which_is_meant() -> None:
    assert row_in(_trace("linear", "linear"), _trace("linear"), 0) == -1
