"""What an operation is about to write to, also where it is not its first argument, or its name does not say so.

A function of torch that is written in Python may call operations that no function mode sees. What those write to shows
at the level of the dispatcher, which is looked at for the time of a call that may write to a parameter. All else was
copied beforehand.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from gradflow.record.conduct.whose_error import run_theirs
from gradflow.record.state.written_arguments import written_arguments
from gradflow.torch_facts.dispatch_modes import DispatchMode
from gradflow.torch_facts.operators import schemas_of

__all__ = ["run_announcing"]

_BUILTIN = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)


def run_announcing(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    before_write: Callable[[Any], object] | None,
) -> Any:
    """Call an operation, and ``before_write`` with what it writes to although its name does not say so."""
    if before_write is None or type(function) in _BUILTIN:
        return run_theirs(function, args, kwargs)
    if type(function) is not types.FunctionType:
        _announce(function, args, kwargs, before_write)
    if not _may_write_to_parameters(function, args, kwargs):
        return run_theirs(function, args, kwargs)
    with _Announcing(before_write):
        return run_theirs(function, args, kwargs)


def _announce(
    function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], before_write: Callable[[Any], object]
) -> None:
    """What an operation of the dispatcher, ``torch.ops...``, declares to write to."""
    for value in _written_by_schema(function, args, kwargs):
        before_write(value)


def _may_write_to_parameters(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    # to ask a plain tensor whether it is a parameter goes through a function of torch in Python
    return any(
        type(one) is not torch.Tensor and isinstance(one, torch.nn.Parameter)
        for one in written_arguments(function, args, kwargs)
    )


def _written_by_schema(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Any]:
    for schema in schemas_of(function):
        for position, argument in enumerate(schema.arguments if schema.is_mutable else ()):
            if argument.alias_info is not None and argument.alias_info.is_write:
                value = args[position] if position < len(args) else kwargs.get(argument.name)
                if value is not None:
                    yield value


class _Announcing(DispatchMode):
    def __init__(self, before_write: Callable[[Any], object]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._before_write = before_write

    def __torch_dispatch__(self, func: Any, kinds: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        _announce(func, args, kwargs, self._before_write)
        return run_theirs(func, args, kwargs)
