"""A piece of source code with holes: what random networks, cuts and their healthy look-alikes are made of.

``{x}`` is the name of the value that comes in, ``{y}`` of the one that goes out (often the same name, so ``{y}`` is
assigned last), ``{a}`` ``{b}`` ``{c}`` are fresh names, ``{n}`` a fresh number, ``{l0}`` ``{l1}`` the layers. Lines
that end in ``# blame`` carry the cause of a missing gradient. Others may need ``{x}`` too: a piece changes in place
only what it made itself.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CHANNELS", "Fragment"]

CHANNELS = 8
"""Every value has this many channels: maps are ``[N, C, H, W]``, sequences ``[N, T, C]``, vectors ``[N, C]``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """Statements of a forward method or of a function.

    Attributes
    ----------
    body
        The statements.
    layers
        How each layer is made; ``{l0}`` is how the body names the first.
    methods, definitions
        Code of the class, and of the module, that the body calls.
    fits
        The kinds of value that may come in: ``map``, ``sequence``, ``vector``.
    gives
        The kind that goes out; the same as comes in where empty.
    """

    body: str
    layers: tuple[str, ...] = ()
    methods: str = ""
    definitions: str = ""
    fits: tuple[str, ...] = ("map", "sequence", "vector")
    gives: str = ""

    @property
    def needs_class(self) -> bool:
        """Whether it can stand only in a method, because it has layers or methods of its own."""
        return bool(self.layers or self.methods)
