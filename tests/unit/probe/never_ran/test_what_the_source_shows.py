"""Of a layer that never ran, what the source does not prove is not said."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from torch import nn

import gradflow


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.used, self.spare = nn.Linear(4, 4), nn.Linear(4, 4)
        self.steps, self.kind = nn.ModuleList(nn.Linear(4, 4) for _ in range(3)), "plain"


def told(model: nn.Module, layer: str) -> tuple[str, str]:
    """The name of the finding, and all that it says."""
    report = gradflow.check(model, layer, inputs=torch.rand(2, 4))
    assert report.verdict == "unused"
    (found,) = report.diagnostics
    return found.name, " ".join((found.label, *found.notes, *(one.text for one in found.helps)))


class FromTheEnd(Layers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.steps[-1](self.steps[0](x))


def test_an_index_that_is_written_out_is_the_same_in_every_run() -> None:
    _, text = told(FromTheEnd(), "steps.1")
    assert "`self.steps[-1]` is another element than 1" in text
    assert "call `self.steps[1](...)` in `forward`" in text
    assert "input" not in text


class Halved(Layers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for i in range(3):
            x = self.steps[i // 2](x)
        return x


def test_of_an_index_that_is_computed_it_is_not_said_from_what() -> None:
    _, text = told(Halved(), "steps.2")
    assert "the index is computed, and what it was is not recorded" in text
    assert "input" not in text


class ByName(Layers):
    KINDS: ClassVar[dict[str, Callable[[Layers, torch.Tensor], torch.Tensor]]] = {
        "plain": lambda model, x: model.used(x),
        "deep": lambda model, x: model.used(model.spare(x)),
    }

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.KINDS[self.kind](self, x)


def test_a_function_in_the_body_of_the_class_may_call_it() -> None:
    _, text = told(ByName(), "spare")
    assert "by this name" in text
    assert "whose that is was not followed" in text


def test_where_nothing_bears_its_name_no_code_calls_it() -> None:
    assert "no code of `ByName` calls `self.steps[1]` call `self.steps[1](...)`" in told(ByName(), "steps.1")[1]


class Sliced(Layers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for step in itertools.islice(self.steps, 1):
            x = step(x)
        return x


class First(Layers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return next(step for step in self.steps)(x)


class Given(Layers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = [self.spare]
        return self.used(x) + 0 * len(kept)


@pytest.mark.parametrize("kind", [Sliced, First])
def test_what_goes_over_a_list_may_not_come_to_every_element(kind: type[Layers]) -> None:
    _, text = told(kind(), "steps.1")
    assert "`self.steps[1]` may be read on line" in text
    assert "no call of it was seen" in text


def test_what_is_read_by_its_own_name_is_read() -> None:
    assert "`self.spare` is read on line" in told(Given(), "spare")[1]


class Filtered(Layers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.used(sum([step(x) for step in self.steps if step.weight[0, 0] > 1e3], x))


class WeightAlone(Layers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.used(nn.functional.linear(x, self.spare.weight))


def test_a_weight_that_only_decides_whether_the_layer_runs_is_not_used_instead_of_it() -> None:
    name, text = told(Filtered(), "steps.1")
    assert name == "layer-not-called"
    assert "was false in this run, so `step(x)`" in text


def test_a_weight_that_is_used_without_the_layer_is_told() -> None:
    assert told(WeightAlone(), "spare")[0] == "functional-bypass"
