"""Run a case plainly and under `gradflow.explain()`, and tell the first thing in which the runs differ."""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from tests.harmless.case import Case

SAME, NOISE = "", "noise"
_SEED = 0


@dataclass
class Result:
    """What one sample gave: the type of an exception, or all values and gradients in their order."""

    raised: str = ""
    values: tuple[Any, ...] = ()


def difference(case: Case) -> str:
    """``SAME``, ``NOISE`` where two plain runs differ already, or in words what differs under gradflow."""
    warnings.simplefilter("ignore")
    plain, again = _run(case, nullcontext()), _run(case, nullcontext())
    if _difference(plain, again):
        return NOISE
    differs = _difference(plain, _watched(case))
    if not differs:
        return SAME
    # what memory that nothing has written holds (`torch.empty`) is the same twice by chance only
    with _unwritten_memory_filled():
        filled = _run(case, nullcontext())
        if not _difference(plain, filled):
            return differs
        return _difference(filled, _watched(case)) and differs


def _watched(case: Case) -> list[Result]:
    import gradflow

    return _run(case, gradflow.explain(quiet=True))


@contextlib.contextmanager
def _unwritten_memory_filled() -> Iterator[None]:
    """Memory that nothing has written holds NaN or the greatest integer (`torch.utils.deterministic`)."""
    found = torch.get_deterministic_debug_mode()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(found)


def _run(case: Case, watched: AbstractContextManager[Any]) -> list[Result]:
    torch.manual_seed(_SEED)
    random.seed(_SEED)
    np.random.seed(_SEED)  # noqa: NPY002 - the samples draw from the global generator
    results: list[Result] = []
    samples = case.calls()
    with watched:
        while True:
            result = Result()
            with _noted(result):
                sample = next(samples, None)
                if sample is None:
                    return results
                wanted, call = sample
            results.append(result)
            if result.raised:
                # the inputs could not even be made; after that there are no others
                return results
            with _noted(result):
                output = call()
                result.values = tuple(map(_kept, tree_leaves(output)))
                result.values += tuple(map(_kept, _gradients(output, wanted())))


@contextlib.contextmanager
def _noted(result: Result) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - its type is what is compared
        result.raised = type(error).__name__


def _gradients(output: Any, wanted: list[Tensor]) -> tuple[Tensor | None, ...]:
    tensors = [each for each in tree_leaves(output) if isinstance(each, Tensor) and each.requires_grad]
    if not tensors or not wanted:
        return ()
    weights = [torch.ones_like(each) for each in tensors]
    return torch.autograd.grad(tensors, wanted, weights, allow_unused=True)


def _kept(value: Any) -> Any:
    """A value that stays what it is now."""
    return value.detach().clone() if isinstance(value, Tensor) else value


def _difference(one: list[Result], other: list[Result]) -> str:
    if len(one) != len(other):
        return f"{len(one)} samples, then {len(other)}"
    for number, (first, second) in enumerate(zip(one, other, strict=True)):
        where = f"sample {number}: "
        if first.raised != second.raised:
            return f"{where}{first.raised or 'nothing raised'}, then {second.raised or 'nothing raised'}"
        if len(first.values) != len(second.values):
            return f"{where}{len(first.values)} values, then {len(second.values)}"
        for place, (value, same) in enumerate(zip(first.values, second.values, strict=True)):
            if not _is_same(value, same):
                return f"{where}value {place} differs"
    return SAME


def _is_same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if not isinstance(one, Tensor):
        return bool(one == other) or one != one  # noqa: PLR0124 - NaN
    if (one.dtype, one.layout, one.shape) != (other.dtype, other.layout, other.shape):
        return False
    return _bits(one) == _bits(other)


def _bits(tensor: Tensor) -> bytes:
    """The bits of a tensor's entries; every NaN is the same."""
    if tensor.is_quantized:
        tensor = tensor.int_repr()
    dense = tensor.to_dense() if tensor.layout != torch.strided else tensor
    dense = dense.resolve_conj().resolve_neg()
    if dense.is_complex():
        dense = torch.view_as_real(dense)
    if dense.is_floating_point():
        dense = torch.where(dense.isnan(), torch.full((), torch.nan, dtype=dense.dtype), dense)
    # 0-dimensional tensors have no bytes to view
    flat = dense.contiguous().reshape(-1)
    return bytes(flat.view(torch.uint8).numpy()) if flat.numel() else b""
