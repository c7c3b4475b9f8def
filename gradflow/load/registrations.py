"""Tells of each module, parameter and buffer that is about to be attached to a module, by the hooks that torch has."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn.modules import module as module_hooks

__all__ = ["registrations"]

Told = Callable[[torch.nn.Module, str, Any], None]


@contextlib.contextmanager
def registrations(
    *, modules: Told | None = None, parameters: Told | None = None, buffers: Told | None = None
) -> Iterator[None]:
    """Call ``told(parent, name, part)`` for the time of the block; what ``parent`` had under that name is still there.

    A part may be ``None``. What is told must return nothing: torch would take it for the part.
    """
    with contextlib.ExitStack() as stack:
        for told, register in (
            (modules, module_hooks.register_module_module_registration_hook),
            (parameters, module_hooks.register_module_parameter_registration_hook),
            (buffers, module_hooks.register_module_buffer_registration_hook),
        ):
            if told is not None:
                stack.callback(register(told).remove)
        yield
