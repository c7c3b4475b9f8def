"""How a module joins branches is read from the recording of a plain pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gradflow.load.workload import Objective, Workload
from gradflow.record.layer_pass import run_modules


class Joins(nn.Module):
    def __init__(self, join: Callable[[Joins, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.join = join
        self.conv = nn.Conv2d(2, 2, 1)
        self.register_buffer("table", torch.ones(1, 2, 4, 4))
        self.weight = nn.Parameter(torch.ones(1, 2, 4, 4))
        self.unregistered = [nn.Parameter(torch.ones(1, 2, 4, 4))]

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self, x, self.conv(x))


def add_in_place(_: Joins, x: Tensor, y: Tensor) -> Tensor:
    y += x
    return y


def in_a_helper(_: Joins, x: Tensor, y: Tensor) -> Tensor:
    class Plain(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a + b

    return Plain()(x, y)


JOINS: dict[str, tuple[Callable[[Joins, Tensor, Tensor], Tensor], str]] = {
    "a sum": (lambda m, x, y: x + y, "skip join"),
    "a sum in place": (add_in_place, "skip join"),
    "a function": (lambda m, x, y: torch.add(input=x, other=y, alpha=2), "skip join"),
    "a module that is registered nowhere": (in_a_helper, "skip join"),
    "a concatenation": (lambda m, x, y: torch.cat([x, y], 1), "concatenation"),
    "one by keyword": (lambda m, x, y: torch.cat(tensors=(x, y), dim=1), "concatenation"),
    "both": (lambda m, x, y: torch.cat([x, x + y]), "skip join"),
    "a number": (lambda m, x, y: y + 1, ""),
    "another shape": (lambda m, x, y: y + x.mean((2, 3), keepdim=True), ""),
    "a parameter": (lambda m, x, y: y + m.weight, ""),
    "a parameter that is registered nowhere": (lambda m, x, y: y + m.unregistered[0], ""),
    "a buffer": (lambda m, x, y: y + m.table, ""),
    "one tensor": (lambda m, x, y: torch.cat([y]), ""),
}


@pytest.mark.parametrize("case", JOINS)
def test_what_a_module_brings_together(case: str) -> None:
    join, expected = JOINS[case]
    model = nn.Sequential(Joins(join))
    workload = Workload(
        model=model,
        model_name="net",
        inputs=(torch.ones(1, 2, 4, 4),),
        objective=Objective(compute=lambda output: (output.sum(), "sum", None)),
    )
    joins = {call.name: call.join for call in run_modules(workload).calls}
    assert joins == {"0.conv": "", "0": expected, "": ""}


def test_calls_inside_a_function_are_seen_with_their_shapes() -> None:
    conv = nn.Conv2d(2, 3, 1)

    class Inside(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return conv(x) * 2

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv

        def forward(self, x: Tensor) -> Tensor:
            return Inside.apply(x)

    workload = Workload(
        model=Net(),
        model_name="net",
        inputs=(torch.ones(1, 2, 4, 4),),
        objective=Objective(compute=lambda output: (output.sum(), "sum", None)),
    )
    assert [(call.name, call.shape) for call in run_modules(workload).calls] == [
        ("conv", (1, 3, 4, 4)),
        ("", (1, 3, 4, 4)),
    ]
