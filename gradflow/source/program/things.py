"""What a name of a program stands for, as far as it matters where values come from."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["Function", "Labels", "Scope", "Thing", "as_one", "made_of"]

Labels = frozenset[int]
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(eq=False, slots=True)
class Thing:
    """A value, with the ``labels`` of the places that it was computed from; the same object under all its names.

    ``parts`` are its attributes, as ``.name``, and what it holds under constant indices and keys, as ``[0]``.
    ``function`` with ``scope`` is what a call of it enters, with ``receiver`` as first argument; ``kind`` is its class,
    ``bases`` are those of a class. ``names`` are those of a module.
    """

    labels: Labels = frozenset()
    parts: dict[str, Thing] = field(default_factory=dict)
    function: Function | None = None
    scope: Scope | None = None
    receiver: Thing | None = None
    kind: Thing | None = None
    is_class: bool = False
    bases: tuple[Thing, ...] = ()

    def every_label(self) -> Labels:
        """Its own, and those of all that it consists of; what else hangs on an object is not the object's value."""
        found: set[int] = set()
        seen: set[int] = set()
        waiting = [self]
        while waiting:
            thing = waiting.pop()
            if id(thing) not in seen:
                seen.add(id(thing))
                found |= thing.labels
                waiting.extend(part for key, part in thing.parts.items() if key.startswith("["))
        return frozenset(found)

    def elements(self) -> list[Thing] | None:
        """Its parts in the order of their indices; ``None`` where it is not known what it consists of."""
        indices = [f"[{number}]" for number in range(len(self.parts))]
        return [self.parts[each] for each in indices] if self.parts.keys() == set(indices) and indices else None

    def of_class(self, name: str) -> Thing | None:
        """What a class, or one that it inherits from, defines under a name."""
        found = self.parts.get(f".{name}")
        inherited = (base.of_class(name) for base in self.bases)
        return found or next((each for each in inherited if each is not None), None)


@dataclass(eq=False, slots=True)
class Scope:
    """The names of a module, a class body or one call of a function, in the file ``path``."""

    path: str
    outer: Scope | None = None
    names: dict[str, Thing] = field(default_factory=dict)
    elsewhere: dict[str, Scope] = field(default_factory=dict)
    returned: list[Thing] = field(default_factory=list)
    is_class: bool = False

    def look_up(self, name: str) -> Thing | None:
        """What a name stands for here; classes do not lend theirs to the functions in them."""
        if name in self.names:
            return self.names[name]
        return next((each.names[name] for each in self._around() if name in each.names and not each.is_class), None)

    def bind(self, name: str, thing: Thing) -> None:
        """Assign a name, in the scope that it was declared to belong to."""
        self.elsewhere.get(name, self).names[name] = thing

    def declare(self, names: Iterable[str], *, is_global: bool) -> None:
        """``global`` and ``nonlocal``."""
        around = list(self._around())
        for name in names:
            inner = next((each for each in around if name in each.names), None)
            home = around[-1] if is_global or inner is None else inner
            self.elsewhere[name] = home

    def _around(self) -> Iterator[Scope]:
        scope = self.outer
        while scope is not None:
            yield scope
            scope = scope.outer


def made_of(things: Iterable[Thing]) -> Thing:
    """Something new that was computed from others."""
    return Thing(frozenset().union(*(each.every_label() for each in things)))


_DEEPEST = 6


def as_one(things: Iterable[Thing], depth: int = _DEEPEST) -> Thing:
    """One of several, nobody knows which."""
    different = list({id(each): each for each in things}.values())
    if len(different) == 1:
        return different[0]
    if depth == 0:
        return made_of(different)
    merged = Thing(frozenset().union(*(each.labels for each in different)))
    for name in dict.fromkeys(name for each in different for name in each.parts):
        merged.parts[name] = as_one((each.parts[name] for each in different if name in each.parts), depth - 1)
    known = next((each for each in different if each.function or each.kind or each.is_class), None)
    if known is not None:
        merged.function, merged.scope, merged.receiver = known.function, known.scope, known.receiver
        merged.kind, merged.is_class, merged.bases = known.kind, known.is_class, known.bases
    return merged
