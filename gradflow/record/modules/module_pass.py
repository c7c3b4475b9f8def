"""What one forward pass shows of a model's layers, to those who choose one or list them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

__all__ = ["LayerCall", "ModulePass"]


@dataclass(slots=True, kw_only=True)
class LayerCall:
    """One call of a module.

    ``begun`` and ``ended`` count the beginnings and ends of all calls together, so that they order them. ``shape`` is
    that of the first tensor returned; ``shapes`` those of all; ``is_single`` tells that a plain tensor was returned.
    ``maker`` is the inner call that made the returned tensor, where this call only hands it on. ``join`` says how this
    module itself, not one inside it, brought branches together. ``has_raised`` tells that it returned nothing.
    """

    name: str
    module: torch.nn.Module
    begun: int
    ended: int = -1
    shape: tuple[int, ...] | None = None
    shapes: tuple[tuple[int, ...], ...] = ()
    is_single: bool = False
    is_floating: bool = False
    maker: LayerCall | None = None
    join: str = ""
    has_raised: bool = False


@dataclass(slots=True, kw_only=True)
class ModulePass:
    """All calls, in the order in which they ended, and what the model itself returned."""

    calls: list[LayerCall] = field(default_factory=list)
    output_shapes: tuple[tuple[int, ...], ...] = ()
    has_plain_output: bool = True
