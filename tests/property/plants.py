"""What is planted, where, and what must come out."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

from tests.property.cuts import FORMS, Form
from tests.property.fragment import Fragment
from tests.property.near_misses import NEAR_MISSES
from tests.property.networks import Network, Plant, grow

__all__ = ["Case", "Role", "kinds_of_case", "make_case"]

Role = Literal["whole", "partial", "side", "near miss"]
"""A cut on the only way from the layer to the score, on one of several, or where the score does not look; or none."""

_PARTIAL = frozenset({"detach", "no-grad", "inference-mode", "numpy-roundtrip", "tensor-rewrap"})
"""What costs gradient also on one of several ways; a comparison or an arg-max there is a mask or an index, and fine."""

_JOINS = (
    "{y} = {x} + 0.5 * {side}",
    "{y} = {x} * torch.sigmoid({side})",
    "{y} = torch.lerp({x}, {side}, 0.4)",
    "{y} = {side} + torch.tanh({x})",
    "{y} = torch.stack([{x}, {side}]).mean(0)",
    "{y} = torch.where({x} > 0, {x}, 0.3 * {side})",
    "{c} = {x} * 0.7\n{c} += {side}\n{y} = {c}",
)

_FORGOTTEN = (
    "{y} = {x} * 1.0",
    "{c} = {side}.mean()\n{y} = {x} * 1.0",
    "{c} = {{'main': {x} * 1.0, 'metric': {side}}}\n{y} = {c}['main']",
    "{y} = {x} + torch.zeros_like({side})",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network and what gradflow must say: ``verdict``, and one of ``causes`` at one of the network's blamed lines.

    A cut on one of several ways counts where it takes at least the share ``smallest_loss`` of the gradient.
    """

    role: Role
    form: str
    network: Network
    verdict: str
    causes: frozenset[str]
    smallest_loss: float = 0.001


def kinds_of_case() -> tuple[tuple[Role, str], ...]:
    """Every role with every form that can play it."""
    forms: list[tuple[Role, str]] = []
    for form in FORMS:
        # who marks a result as not differentiable says that it is meant where other ways remain
        roles: tuple[Role, ...] = ("whole", "side") if "marked" in form.name else ("whole", "partial", "side")
        forms.extend((role, form.name) for role in roles)
    return (*forms, *(("near miss", name) for name in NEAR_MISSES))


def make_case(chooser: random.Random, role: Role, name: str) -> Case:
    """A random network for one role and form."""
    if role == "near miss":
        piece = NEAR_MISSES[name]
        network = grow(chooser, Plant(broken=piece, healthy=piece))
        return Case(role=role, form=name, network=network, verdict="connected", causes=frozenset())
    form = next(form for form in FORMS if form.name == name)
    if role == "whole":
        network = grow(chooser, Plant(broken=form.broken, healthy=form.healthy))
        return Case(role=role, form=name, network=network, verdict=form.verdict, causes=form.causes)
    if role == "partial" and form.causes & _PARTIAL:
        causes, verdict = frozenset({"partial-detach"}), "wrong"
    elif role == "partial" and "custom-function" in form.causes:
        causes, verdict = form.causes, "wrong"
    else:
        causes, verdict = frozenset(), "connected"
    network = grow(chooser, _beside(form, chooser.choice(_JOINS if role == "partial" else _FORGOTTEN)))
    # a computation outside of torch cannot be mended; the loss is then measured in float32, in the score
    smallest_loss = 0.1 if "numpy-roundtrip" in form.causes else 0.001
    return Case(role=role, form=name, network=network, verdict=verdict, causes=causes, smallest_loss=smallest_loss)


def _beside(form: Form, ending: str) -> Plant:
    """The cut not on the way itself but on a second value ``side`` made from it."""

    def moved(piece: Fragment) -> Fragment:
        body = piece.body.replace("{y}", "side{n}") + "\n" + ending.replace("{side}", "side{n}")
        return replace(piece, body=body)

    return Plant(broken=moved(form.broken), healthy=moved(form.healthy))
