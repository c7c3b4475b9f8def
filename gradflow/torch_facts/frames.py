"""What the local variables of torch's own functions tell of a call that runs."""

from __future__ import annotations

import dis
import functools
from collections.abc import Callable
from types import CodeType, FrameType, FunctionType
from typing import Any

import torch
from torch.utils._contextlib import _DecoratorContextManager

from gradflow.torch_facts.module_machinery import CALLING, global_hook_tables

__all__ = [
    "DECORATORS",
    "asks_if_it_may_run",
    "decorated_function",
    "decorator_of",
    "grad_switch",
    "hook_that_runs",
    "is_around_hooks",
    "runs_again_for",
    "without_hooks",
]

DECORATORS: type = _DecoratorContextManager
"""The class of all that can stand in a ``with`` statement, and above a function as its decorator."""

_SWITCHES_WHEN_MADE = torch.set_grad_enabled

_SWITCHING: dict[CodeType, str] = {
    method.__code__: name
    for one in (torch.no_grad, torch.enable_grad, _SWITCHES_WHEN_MADE)
    for name, method in vars(one).items()
    if isinstance(method, FunctionType)
}

# put above a function, a ``set_grad_enabled`` undoes what it did when it was made
_ENDS = ("__exit__", "__call__")

_MODULE_FILE = "modules/module.py"
_DECORATOR_FILE = "_contextlib.py"


def hook_that_runs(frame: FrameType) -> Any:
    """The hook that a module is calling from this frame; ``None`` for any other frame."""
    return frame.f_locals.get("hook") if frame.f_code.co_filename.endswith(_MODULE_FILE) else None


def decorated_function(frame: FrameType) -> Any:
    """What ``@torch.no_grad()`` and its like have wrapped, where this is the frame of such a wrapper; else ``None``."""
    return frame.f_locals.get("func") if frame.f_code.co_filename.endswith(_DECORATOR_FILE) else None


def decorator_of(frame: FrameType) -> Any:
    """The object that has wrapped it: a ``torch.no_grad``; ``None`` for one that is not of torch."""
    made = frame.f_locals.get("ctx_factory") if frame.f_code.co_filename.endswith(_DECORATOR_FILE) else None
    decorator = getattr(made, "__self__", None)
    return decorator if isinstance(decorator, DECORATORS) else None


def grad_switch(frame: FrameType | None) -> tuple[object, bool, bool] | None:
    """The context that switches the grad mode from this frame: itself, whether it ends, and whether it may begin here.

    ``no_grad`` makes a ``set_grad_enabled`` in order to switch, where it begins and where it ends: the outermost of the
    two is the one that is asked about. Only ``set_grad_enabled`` notes what held before when it is made, not when it is
    entered. ``None`` where the mode is switched without any of them.
    """
    # other function modes may stand between; torch's methods do nothing else, so the nearest is what switches
    while frame is not None and frame.f_code not in _SWITCHING:
        frame = frame.f_back
    found = None
    while frame is not None and (name := _SWITCHING.get(frame.f_code)) is not None:
        context = frame.f_locals[frame.f_code.co_varnames[0]]
        found = context, name in _ENDS, name == "__init__" or not isinstance(context, _SWITCHES_WHEN_MADE)
        frame = frame.f_back
    return found


def is_around_hooks(frame: FrameType) -> bool:
    """Whether it is that of the function, within the one that calls a module, which torch needs for hooks only."""
    return frame.f_code in _inner_functions()


def asks_if_it_may_run(backward: CodeType) -> bool:
    """Whether it is the backward of a reentrant checkpoint, which asks: within ``torch.autograd.grad`` it may not."""
    return "_is_checkpoint_valid" in backward.co_names


def runs_again_for(frame: FrameType | None) -> tuple[int, ...]:
    """The nodes of the reentrant checkpoints in whose backward a frame runs, by sequence number, the outermost first.

    A checkpoint has a node where it was recorded: of two, the one whose forward ran first has the smaller number.
    """
    found = []
    while frame is not None:
        code = frame.f_code
        if code.co_argcount and asks_if_it_may_run(code):
            found.append(int(frame.f_locals[code.co_varnames[0]]._sequence_nr()))
        frame = frame.f_back
    return tuple(reversed(found))


def without_hooks(frame: FrameType, is_left_out: Callable[[object], bool]) -> tuple[int, int] | None:
    """The instruction and the line at which a module that has no hooks calls its forward, in this frame.

    ``None`` where it is another frame, or hooks other than those left out are on the module or on all modules.
    """
    module = frame.f_locals.get("self") if frame.f_code is CALLING else None
    if module is None or any(getattr(module, name) for name in _TABLES):
        return None
    on_all = global_hook_tables()
    if not all(is_left_out(hook) for name in _TABLES for hook in on_all[f"_global{name}"].values()):
        return None
    return _plain_call()


_TABLES = ("_backward_hooks", "_backward_pre_hooks", "_forward_hooks", "_forward_pre_hooks")


@functools.cache
def _inner_functions() -> frozenset[CodeType]:
    return frozenset(constant for constant in CALLING.co_consts if type(constant) is CodeType)


@functools.cache
def _plain_call() -> tuple[int, int] | None:
    """The first ``...(*args, **kwargs)`` in it."""
    for one in dis.get_instructions(CALLING):
        if one.opname == "CALL_FUNCTION_EX" and one.positions is not None and one.positions.lineno is not None:
            return one.offset, one.positions.lineno
    return None
