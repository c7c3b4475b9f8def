"""Layers that a model keeps in plain lists and dictionaries, where ``nn.Module`` does not look."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import torch

from gradflow.load.module_tree import modules_in

__all__ = ["PlainContainer", "plain_container_at"]

_KINDS: tuple[tuple[Any, str], ...] = ((list, "list"), (tuple, "tuple"), (dict, "dictionary"))


@dataclass(frozen=True, slots=True)
class PlainContainer:
    """Where layers are kept: ``owner`` is the qualified name of the module, ``kind`` what holds them."""

    owner: str
    attribute: str
    kind: str

    @property
    def remedy(self) -> str:
        """What registers them."""
        return "nn.ModuleDict" if self.kind == "dictionary" else "nn.ModuleList"

    @property
    def written(self) -> str:
        """As it stands in the code of the module."""
        return f"self.{self.attribute}"


def plain_container_at(model: torch.nn.Module, wanted: str) -> PlainContainer | None:
    """The plain container that a name like ``layers.0.conv`` leads into; ``None`` where it leads to no layer in one.

    Nor is it told of layers that are registered under another name.
    """
    module, parts = model, wanted.split(".")
    for depth, part in enumerate(parts):
        own: dict[str, Any] = object.__getattribute__(module, "__dict__")
        child = own.get("_modules", {}).get(part)
        if child is None:
            held = own.get(part)
            kind = next((name for plain, name in _KINDS if isinstance(held, plain)), "")
            known = {id(registered) for registered in modules_in(model)}
            if not kind or not _leads_to_layer(held, parts[depth + 1 :], known):
                return None
            return PlainContainer(owner=".".join(parts[:depth]), attribute=part, kind=kind)
        module = child
    return None


def _leads_to_layer(value: Any, rest: list[str], known: Container[int]) -> bool:
    """Whether what the rest of a name means in a value is a layer that is not known, or lies in one, or holds some."""
    if isinstance(value, torch.nn.Module):
        return id(value) not in known
    items = _items(value)
    if not rest:
        return any(isinstance(item, torch.nn.Module) and id(item) not in known for item in items.values())
    return rest[0] in items and _leads_to_layer(items[rest[0]], rest[1:], known)


def _items(value: Any) -> dict[str, Any]:
    """What lies in a container, read past its class; of a list also counted from its end."""
    if isinstance(value, dict):
        return {str(key): item for key, item in dict.items(value)}
    plain: Any = list if isinstance(value, list) else tuple
    items = [*plain.__iter__(value)] if isinstance(value, (list, tuple)) else []
    return {str(at): item for first in (0, -len(items)) for at, item in enumerate(items, start=first)}
