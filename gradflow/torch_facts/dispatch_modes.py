"""Modes below autograd, which see what an operation of torch does, and how to compute past them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch._ops import _len_torch_dispatch_stack_pre_dispatch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from gradflow.torch_facts.function_modes import unseen
from gradflow.torch_facts.profiling import is_profiling, unprofiled

__all__ = ["DispatchMode", "outside_dispatch", "outside_torch"]

_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
_modes_before_dispatch: Any = _len_torch_dispatch_stack_pre_dispatch
_modes_aside: Any = _disable_current_modes


class DispatchMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode below autograd, in whose own code the compiler is not switched off.

    Torch does that by default, and imports the compiler for it at the first operation: that takes seconds, and leaves a
    filter of warnings behind.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


@contextlib.contextmanager
def outside_dispatch() -> Iterator[None]:
    """Compute with a tensor of the program: no tensor class, mode or profiler of the program or of torch sees it."""
    with unseen():
        # asked first, because to find out costs little, and to put all of them aside does not
        if not (_modes() or _modes_before_dispatch() or is_profiling()):
            yield
            return
        with unprofiled() if is_profiling() else contextlib.nullcontext(), _modes_aside():
            yield


@contextlib.contextmanager
def outside_torch() -> Iterator[None]:
    """Operations in here are not recorded by autograd, by function modes or by dispatch modes."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(unseen())
        if _modes():
            stack.enter_context(_modes_aside())
        # leaving it puts the grad mode back as well
        stack.enter_context(torch._C._InferenceMode(False))
        torch._C._set_grad_enabled(False)
        yield
