"""Finds the operation whose result was not finite in the forward pass, from what autograd's nodes have saved of it.

A NaN may show in the gradient far from where it was made: ``(z - z.mean()) / z.std()`` of one sample turns bad in the
division, and ``std`` is to blame.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch

from gradflow.record.backward.walk import sequence_of
from gradflow.torch_facts.domains import leaves_its_domain
from gradflow.torch_facts.nodes import is_accumulation, saved, saved_names

if TYPE_CHECKING:
    from gradflow.record.backward.walk import Node

__all__ = ["Origin", "forward_origin"]

_Look = Literal["made", "passed on", "clean", "blank"]


class Origin(NamedTuple):
    """The first node whose forward gave NaN or infinity, or that was given it by nobody, as from the data."""

    node: Node
    is_given: bool


def forward_origin(node: Node, *, is_bad: bool = False) -> Origin | None:
    """Where the first NaN or infinity that ``node`` works with comes from, as far as the graph tells.

    ``None`` where all that it works with is finite. What it gave is known to be bad where ``is_bad``, whether it has
    saved anything or not. To be asked while the graph still holds its saved tensors, and only where no unpack hook may
    run.
    """
    if not is_bad and _look(node) not in ("made", "passed on"):
        return None
    looks: dict[Node, _Look] = {}
    waiting = [node]
    for current in waiting:
        if current in looks:
            continue
        looks[current] = _look(current)
        if looks[current] != "clean":
            waiting.extend(following for following, _ in current.next_functions if following is not None)
    # behind what others lie that are bad: it was not the first, whatever it has saved
    in_order = sorted(looks, key=sequence_of)
    has_bad_behind: dict[Node, bool] = {}
    for current in in_order:
        behind = [following for following, _ in current.next_functions if following is not None]
        has_bad_behind[current] = looks[current] != "clean" and any(
            looks.get(following) in ("made", "passed on") or has_bad_behind.get(following, False)
            for following in behind
        )
    first = [one for one in in_order if looks[one] in ("made", "passed on") and not has_bad_behind[one]]
    return Origin(first[0], looks[first[0]] == "passed on") if first else None


def _look(node: Node) -> _Look:
    """What the saved tensors of a node tell of its forward."""
    saved = _saved(node)
    inputs = [tensor for name, tensor in saved.items() if not _is_result(name)]
    # what is needed for no gradient is not saved: a layer's own weight, where its input has no history
    inputs += [leaf for following, _ in node.next_functions if (leaf := _leaf_behind(following)) is not None]
    if not all(map(_is_finite, inputs)):
        return "passed on"
    if not all(map(_is_finite, saved.values())) or leaves_its_domain(node, saved):
        return "made"
    return "clean" if saved else "blank"


def _leaf_behind(node: Node | None) -> torch.Tensor | None:
    """The leaf that an operation is given, as it is or through those that save nothing of the one that they read."""
    while node is not None and len(node.next_functions) == 1 and not _saved(node):
        node = node.next_functions[0][0]
    if node is None or not is_accumulation(node):
        return None
    leaf: torch.Tensor = node.variable  # type: ignore[attr-defined]
    return leaf.detach()


def _saved(node: Node) -> dict[str, torch.Tensor]:
    found = {}
    for name in _saved_names(type(node)):
        try:
            value = saved(node, name)
        except RuntimeError:
            # freed, or changed in place since
            continue
        if isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex()):
            found[name] = value.detach()
    return found


@functools.lru_cache(maxsize=1024)
def _saved_names(kind: type) -> tuple[str, ...]:
    return saved_names(kind)


def _is_result(name: str) -> bool:
    return name.startswith(("result", "output"))


def _is_finite(tensor: torch.Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
