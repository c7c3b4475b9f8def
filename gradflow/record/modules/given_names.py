"""The names of a model's modules, known before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from gradflow.record.modules.observer import CallObserver, RunningCall

__all__ = ["GivenNames"]


class GivenNames(CallObserver):
    """Writes the qualified name into each call; ``names`` has it for the ``id`` of a module."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names

    def entered(self, call: RunningCall, module: torch.nn.Module, inputs: Any) -> None:
        """One that is registered nowhere keeps the name of its class."""
        name = self._names.get(id(module))
        if name is not None:
            call.module = name
