"""Where TorchScript looks up its own functions, and the class of what ``torch.compile`` makes of a module."""

from __future__ import annotations

import contextlib
import sys
from types import ModuleType
from typing import Any

import torch

__all__ = ["FINDING_BUILTINS", "class_of_compiled_modules", "compiling_as_torch_does", "is_compiler_loaded"]

FINDING_BUILTINS: tuple[ModuleType, str] = (torch.jit._builtins, "_find_builtin")
"""Where torch looks up the function that tells which of its own operations a Python function stands for."""


def is_compiler_loaded() -> bool:
    """Whether anything has imported the compiler yet, which takes seconds."""
    return "torch._dynamo" in sys.modules


def class_of_compiled_modules() -> Any:
    """``None`` as long as nothing has imported the compiler."""
    return getattr(sys.modules.get("torch._dynamo.eval_frame"), "OptimizedModule", None)


def compiling_as_torch_does() -> contextlib.AbstractContextManager[object]:
    """Whatever the stance is, what is compiled in the block is compiled."""
    stance: contextlib.AbstractContextManager[object] = torch.compiler.set_stance("default")
    return stance
