"""What every kind of model source returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from gradflow.load.workload import Provenance

__all__ = ["ImagePreset", "SourcedModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePreset:
    """The preprocessing that belongs to trained weights.

    ``transform`` maps a PIL image to a float tensor ``[C, H, W]``; ``mean`` and ``std`` are what it normalised with, to
    turn the tensor back into a picture; ``name`` is for the user.
    """

    transform: Callable[[Any], torch.Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcedModel:
    """A model and what is known of it because of where it came from.

    ``input_size`` is ``(C, H, W)`` where the source says what the model was made for. ``is_built_by_us`` tells a
    freshly built zoo model, which gradflow puts into eval mode, from one that comes in a mode of its own.
    ``has_modes`` is ``False`` where the mode was fixed when the file was written.
    ``is_vouched_for`` is ``False`` for a model that a file describes and nobody trusts: what it may take is bounded.
    """

    model: torch.nn.Module
    name: str
    assumptions: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    can_enter: bool = True
    class_names: tuple[str, ...] = ()
    preset: ImagePreset | None = None
    input_size: tuple[int, ...] | None = None
    example_inputs: tuple[tuple[Any, ...], dict[str, Any]] | None = None
    is_built_by_us: bool = False
    has_modes: bool = True
    is_vouched_for: bool = True
    provenance: Provenance = field(default_factory=Provenance)
