"""Objects of torch's own that a model holds, such as a distribution: which tensors are in them, and under which name.

They keep books of their own, as a ``DataLoader`` does of what its workers have handed over, and to put those back would
tear them from what they are about. Tensors are put back, where they lie and what is in them; nothing else is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from torch import Tensor

from gradflow.attributes import attributes_of, home_of

__all__ = ["TensorsByName", "held_by", "is_torchs"]


class TensorsByName:
    """The attributes of an object that are tensors; what else it has is left alone."""

    __slots__ = ("_attributes", "_found")

    def __init__(self, owner: object) -> None:
        self._attributes: MutableMapping[str, Any] = attributes_of(owner)
        self._found = {name: held for name, held in list(self._attributes.items()) if issubclass(type(held), Tensor)}

    def values(self) -> Iterator[Tensor]:
        """The tensors."""
        return iter(self._found.values())

    def restore(self) -> None:
        """Put them back, where another one has taken the place."""
        for name, tensor in self._found.items():
            if self._attributes.get(name) is not tensor:
                self._attributes[name] = tensor


def held_by(owner: object) -> Iterator[Any]:
    """Further objects of torch that one holds, also in a list, a tuple or a dict."""
    for held in list(attributes_of(owner).values()):
        kind = type(held)
        parts: Any = (held,)
        if kind is dict:
            parts = tuple(held.values())
        elif kind in _SEQUENCES:
            parts = tuple(held)
        yield from (part for part in parts if is_torchs(part))


def is_torchs(value: object) -> bool:
    """Whether it is an object, and no class, of a class of torch."""
    return home_of(value) == "torch" and not issubclass(type(value), type)


_SEQUENCES = (list, tuple)
