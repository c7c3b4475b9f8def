"""The container that a help offers takes what it is offered for; copies of registered parameters are known as such."""

from __future__ import annotations

from collections import UserDict
from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state

import gradflow
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.location import source_line


class Holding(nn.Module):
    """Uses each parameter in ``self.held``, which is what ``make()`` gives."""

    def __init__(self, held: Any) -> None:
        super().__init__()
        self.held = held

    def leaves(self, value: Any) -> list[torch.Tensor]:
        if isinstance(value, torch.Tensor):
            return [value]
        if isinstance(value, nn.Module):
            return list(value.parameters())
        values = value.values() if isinstance(value, (dict, UserDict)) else value
        return [leaf for each in values for leaf in self.leaves(each)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return sum((leaf.square().sum() for leaf in self.leaves(self.held)), x.sum())


def weight() -> nn.Parameter:
    return nn.Parameter(torch.rand(2, 3))


def layer() -> nn.Module:
    return nn.Linear(2, 3)


def unregistered(model: nn.Module) -> Diagnostic:
    return next(found for found in gradflow.audit(model, inputs=torch.rand(4)).diagnostics if found.code == "GF304")


HELD = {
    "a list of parameters": [weight(), weight()],
    "a tuple of layers": (layer(), layer()),
    "plain keys": {"a": weight(), "b": weight()},
    "keys with dots": {"0.weight": weight(), "0.bias": weight()},
    "keys that are numbers": {3: layer(), 4: layer()},
    "keys of both kinds": {(0, 1): weight(), "0": weight()},
    "keys that a module has already": {"forward": layer(), "type": layer()},
    "a dictionary of another class": UserDict({"a.b": layer()}),
}


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
def test_the_help_can_be_carried_out_as_it_stands(held: Any) -> None:
    model = Holding(held)
    text = unregistered(model).helps[0].text
    code = text[1 : text.index("`", 1)].replace("(...)", "(self.held)")
    exec(code, {"self": model, "nn": nn})
    assert not gradflow.audit(model, inputs=torch.rand(4)).diagnostics


def test_containers_within_a_container_are_no_list_of_modules() -> None:
    text = unregistered(Holding([[layer()], [layer()]])).helps[0].text
    assert text.startswith("keep what is trained in `self.held` in `nn.ModuleList`")


class Ensemble(nn.Module):
    """The parameters of several models, stacked once: the copies are used."""

    def __init__(self, count: int = 2) -> None:
        super().__init__()
        self.members = nn.ModuleList(nn.Linear(4, 3) for _ in range(count))
        self.stacked, _ = stack_module_state(list(self.members))
        self.__dict__["shape_of_one"] = nn.Linear(4, 3, device="meta")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = [{key: value[i] for key, value in self.stacked.items()} for i in range(len(self.members))]
        return torch.stack([functional_call(self.shape_of_one, each, (x,)) for each in given]).sum(0)


def test_copies_made_in_the_constructor_are_one_finding_with_what_they_are_copies_of() -> None:
    (found,) = gradflow.audit(Ensemble(), inputs=torch.rand(5, 4)).diagnostics
    assert found.code == "GF304"
    assert found.location is not None
    assert "stack_module_state" in source_line(found.location.path, found.location.line)
    assert {"stacked.weight", "members.0.weight", "members.1.bias"} <= set(found.hides)
    assert any(
        "`stacked.weight` holds the values of `members.0.weight` in other memory" in note for note in found.notes
    )


class OwnValues(Ensemble):
    """As many parameters of the same shapes, with values of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.stacked = {key: nn.Parameter(torch.rand_like(value)) for key, value in self.stacked.items()}


def test_tensors_with_values_of_their_own_are_no_copies() -> None:
    found = gradflow.audit(OwnValues(), inputs=torch.rand(5, 4)).diagnostics
    assert {one.code for one in found} == {"GF301", "GF304"}
