"""Reads what an object holds from where Python keeps it, without asking the object.

``getattr``, ``vars`` and ``isinstance`` ask its class, and a class may answer by raising, by connecting to a server, or
by making something up.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, MutableMapping
from typing import Any

__all__ = ["attributes_of", "home_of", "public_attributes", "public_names", "slots_of"]

_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType)
_of_type: Any = type.__dict__["__dict__"]
_order: Any = type.__dict__["__mro__"]


def attributes_of(owner: object) -> MutableMapping[str, Any]:
    """The very dictionary of an object's attributes, a read-only one for a class; empty where there is none."""
    if issubclass(type(owner), type):
        found: Any = _of_type.__get__(owner)
        return found  # type: ignore[no-any-return]
    for cls in _order.__get__(type(owner)):
        descriptor: Any = _of_type.__get__(cls).get("__dict__")
        if type(descriptor) in _DESCRIPTORS:
            held = descriptor.__get__(owner)
            return held if type(held) is dict else {}
    return {}


def slots_of(owner: object) -> Iterator[types.MemberDescriptorType]:
    """The places that the classes of an object declare by ``__slots__``, whether something is in them or not.

    In the order of attributes that an ``__init__`` sets: what a base declares comes first, then as it is written.
    """
    for cls in reversed(_order.__get__(type(owner))):
        own = _of_type.__get__(cls)
        if "__slots__" in own:
            places = [one for one in own.values() if type(one) is types.MemberDescriptorType]
            written = _as_written(own["__slots__"])
            yield from sorted(places, key=lambda place: written.get(place.__name__, len(written)))


def _as_written(slots: Any) -> dict[str, int]:
    """Where each name stands; Python itself sorts them by the alphabet. An iterator has been read to its end."""
    if type(slots) in (tuple, list, dict):
        return {name: position for position, name in enumerate(slots) if type(name) is str}
    return {}


def public_names(owner: object) -> list[str]:
    """The names that do not start with ``_`` under which an object itself keeps something, in ``__dict__`` or slots."""
    return [*public_attributes(owner)]


def public_attributes(owner: object) -> dict[str, Any]:
    """What an object itself keeps under these names."""
    found = {name: held for name, held in attributes_of(owner).items() if type(name) is str}
    for slot in slots_of(owner):
        try:
            found[slot.__name__] = slot.__get__(owner)
        except AttributeError:
            continue  # a slot that holds nothing
    return {name: held for name, held in found.items() if not name.startswith("_")}


def home_of(owner: object) -> str:
    """The package that the class of an object comes from; empty where that is not known."""
    for cls in _order.__get__(type(owner)):
        module = _of_type.__get__(cls).get("__module__")
        if module is not None:
            return module.partition(".")[0] if type(module) is str else ""
        if cls is type(owner) and not cls.__flags__ & _HEAP_TYPE:
            return cls.__module__.partition(".")[0]  # a class written in C keeps it in its name
    return ""


_HEAP_TYPE = 1 << 9
