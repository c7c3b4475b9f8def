"""How Python calls TorchScript: two classes of torch's C++ side, past every function mode."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["CALLED", "parameters_of_called"]

CALLED: tuple[type, type] = (torch.jit.ScriptFunction, torch._C.ScriptMethod)
"""What was made of a function, and each method of a module that was made or loaded: ``forward`` is one of them."""


def parameters_of_called(called: Any) -> list[torch.Tensor]:
    """The parameters that a method can read: those of its module and of the modules in it. A function holds none."""
    if not isinstance(called, torch._C.ScriptMethod):
        return []
    found, waiting = [], [called.owner]
    while waiting:
        module = waiting.pop()
        found += [parameter for _, parameter in torch._C.ParameterDict(module).items()]  # type: ignore[attr-defined]
        waiting += [inner for _, inner in torch._C.ModuleDict(module).items()]
    return found
