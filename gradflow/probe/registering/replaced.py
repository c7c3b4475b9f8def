"""Parameters in whose place another tensor stands when a run has ended: the model no longer knows them by then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from gradflow.attributes import attributes_of
from gradflow.load.module_tree import named_modules_in
from gradflow.location import SourceSpan
from gradflow.record.recorder import Recorder
from gradflow.recording import Recording

__all__ = ["Replaced", "replaced_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """Where the tensor was made that took the place of a parameter; ``None`` where no recorded operation made it."""

    made_at: SourceSpan | None


def _parameters_of(held: Mapping[str, Any]) -> Mapping[str, Any]:
    """A module's own table of parameters; a TorchScript module keeps something else there."""
    found = held.get("_parameters")
    return found if isinstance(found, dict) else {}


def replaced_in(
    model: torch.nn.Module, parameters: Mapping[str, torch.Tensor], recorder: Recorder, recording: Recording
) -> dict[str, Replaced]:
    """Those of ``parameters`` that a run replaced, by name; to be asked for before the state is put back."""
    modules = dict(named_modules_in(model, remove_duplicate=False)) if parameters else {}
    found = {}
    for name, parameter in parameters.items():
        owner, _, attribute = name.rpartition(".")
        if owner not in modules:
            continue
        held = attributes_of(modules[owner])
        now = _parameters_of(held).get(attribute)
        now = held.get(attribute) if now is None else now
        if isinstance(now, torch.Tensor) and now is not parameter:
            value = recorder.known_value(now)
            row = recording.values.producer[value] if value >= 0 else -1
            found[name] = Replaced(made_at=recording.span_of(row) if row >= 0 else None)
    return found
