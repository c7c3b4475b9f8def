"""Whatever takes the place of a parameter or module is noted once, however it is attached."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from gradflow.record.program.watching import Watch


def by_attribute(net: nn.Module) -> None:
    net.fc = nn.Linear(2, 2)


def by_parameter(net: nn.Sequential) -> None:
    net.fc.weight = nn.Parameter(torch.ones(2, 2))


REPLACING: dict[str, tuple[Callable[[nn.Module], object], str]] = {
    "an attribute": (by_attribute, "fc"),
    "add_module": (lambda net: net.add_module("fc", nn.Linear(2, 2)), "fc"),
    "add_module by keyword": (lambda net: net.add_module(module=nn.Linear(2, 2), name="fc"), "fc"),
    "a parameter": (by_parameter, "weight"),
    "register_parameter": (lambda net: net.fc.register_parameter("bias", nn.Parameter(torch.ones(2))), "bias"),
}
LEAVING: dict[str, Callable[[nn.Module], object]] = {
    "the same one": lambda net: setattr(net, "fc", net.fc),
    "a new name": lambda net: setattr(net, "other", nn.Linear(2, 2)),
    "nothing": lambda net: setattr(net.fc, "bias", None),
    "a plain attribute": lambda net: setattr(net, "rate", 0.1),
}


def replacements(change: Callable[[nn.Module], object]) -> list[tuple[str, int, int]]:
    watch = Watch()
    with watch.watching():
        net = nn.Sequential()
        net.add_module("fc", nn.Linear(2, 2))
        net(torch.ones(1, 2))
        change(net)
    return [(one.name, len(one.old), len(one.new)) for one in watch.seen().replacements]


@pytest.mark.parametrize("how", REPLACING)
def test_a_replacement_is_noted_once(how: str) -> None:
    change, name = REPLACING[how]
    count = 2 if name == "fc" else 1
    assert replacements(change) == [(name, count, count)]


@pytest.mark.parametrize("how", LEAVING)
def test_what_replaces_nothing_is_none(how: str) -> None:
    assert replacements(LEAVING[how]) == []


def test_torch_s_own_methods_stay_what_they_are() -> None:
    before = nn.Module.add_module, nn.Module.register_parameter
    with Watch().watching():
        assert (nn.Module.add_module, nn.Module.register_parameter) == before
