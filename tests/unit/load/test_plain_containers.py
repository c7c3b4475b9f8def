"""A name that leads into a plain list or dictionary is told why it is no layer."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from gradflow.errors import LayerNotFoundError
from gradflow.layers.names import resolve_layers
from gradflow.load.plain_containers import PlainContainer, plain_container_at


class Block(nn.Module):
    def __init__(self, held: Any) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.held = held


def model_with(held: Any) -> nn.Module:
    return nn.Sequential(Block(held))


LINEAR = nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("held", "wanted", "kind"),
    [
        ([LINEAR, LINEAR], "0.held.1", "list"),
        ([LINEAR], "0.held.-1", "list"),
        ((LINEAR,), "0.held", "tuple"),
        ({"a": LINEAR}, "0.held.a", "dictionary"),
        ({"a": [nn.Sequential(LINEAR)]}, "0.held.a.0.0", "dictionary"),
    ],
)
def test_where_it_is_kept(held: Any, wanted: str, kind: str) -> None:
    found = plain_container_at(model_with(held), wanted)
    assert found == PlainContainer(owner="0", attribute="held", kind=kind)


@pytest.mark.parametrize("wanted", ["0.held.7", "0.inner", "0.nothing", "5", "0.held.x", "", "0.training"])
def test_other_names_lead_to_none(wanted: str) -> None:
    assert plain_container_at(model_with([LINEAR]), wanted) is None


def test_what_is_registered_under_another_name_is_not_called_unregistered() -> None:
    model = model_with([])
    model[0].held.append(model[0].inner)
    assert plain_container_at(model, "0.held.0") is None


@pytest.mark.parametrize("wanted", ["0.held.0", "0.held[0]", "0.held[-1]", "0.held.*", "0.held"])
def test_the_hint_says_why_and_what_registers_it(wanted: str) -> None:
    with pytest.raises(LayerNotFoundError) as caught:
        resolve_layers(model_with([LINEAR]), [wanted])
    assert "`0` keeps layers in a plain list, `self.held`" in str(caught.value.hint)
    assert "`self.held = nn.ModuleList(...)` registers them" in str(caught.value.hint)
