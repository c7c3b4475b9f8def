"""How Python calls TorchScript, past every function mode, and how a trace is made: by torch's C++ side."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["CALLED", "TRACING", "parameters_of_called"]

CALLED: tuple[type, type] = (torch.jit.ScriptFunction, torch._C.ScriptMethod)
"""What was made of a function, and each method of a module that was made or loaded: ``forward`` is one of them."""

TRACING: tuple[tuple[Any, str], ...] = (
    (torch._C, "_create_function_from_trace"),
    (torch._C, "_create_function_from_trace_with_dict"),
    (torch._C, "_create_graph_by_tracing"),
    (torch._C.ScriptModule, "_create_method_from_trace"),
    (torch._C.ScriptModule, "_create_method_from_trace_with_dict"),
)
"""What runs a function in order to make a program of it: of a function, a graph alone, of a module's method."""


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
