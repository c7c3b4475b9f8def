"""Finds the operation whose result was not finite in the forward pass, from what autograd's nodes have saved of it.

A NaN may show in the gradient far from where it was made: ``(z - z.mean()) / z.std()`` of one sample turns bad in the
division, and ``std`` is to blame.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal

import torch

from gradflow.torch_facts.domains import leaves_its_domain

if TYPE_CHECKING:
    from gradflow.record.backward.walk import Node

__all__ = ["forward_origin"]

_Look = Literal["made", "passed on", "clean", "blank"]


def forward_origin(node: Node) -> Node | None:
    """The node whose forward made the first NaN or infinity that ``node`` works with.

    ``None`` where all that it works with is finite, or where the numbers were bad from the start (in the data, in the
    parameters). To be asked while the graph still holds its saved tensors, and only where no unpack hook may run.
    """
    if _look(node) not in ("made", "passed on"):
        return None
    seen = {node}
    waiting = [node]
    found: Node | None = None
    for current in waiting:
        look = _look(current)
        if look == "clean":
            continue
        if look == "made":
            found = current
        for following, _ in current.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
    return found


def _look(node: Node) -> _Look:
    """What the saved tensors of a node tell of its forward."""
    saved = _saved(node)
    inputs = [tensor for name, tensor in saved.items() if not _is_result(name)]
    if not all(map(_is_finite, inputs)):
        return "passed on"
    if not all(map(_is_finite, saved.values())) or leaves_its_domain(node, saved):
        return "made"
    return "clean" if saved else "blank"


def _saved(node: Node) -> dict[str, torch.Tensor]:
    found = {}
    for name in _saved_names(type(node)):
        try:
            value = getattr(node, name)
        except RuntimeError:
            # freed, or changed in place since
            continue
        if isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex()):
            found[name.removeprefix("_saved_")] = value.detach()
    return found


@functools.lru_cache(maxsize=1024)
def _saved_names(kind: type) -> tuple[str, ...]:
    return tuple(name for name in dir(kind) if name.startswith("_saved_"))


def _is_result(name: str) -> bool:
    return name.startswith(("result", "output"))


def _is_finite(tensor: torch.Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
