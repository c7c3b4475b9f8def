"""The flags that torch keeps for the whole process, found by their pairs of functions: one reads, one writes."""

from __future__ import annotations

import enum
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

__all__ = ["Setting", "settings_by_pairs"]

_NAMES = (("_get_{}", "_set_{}"), ("_is_{}", "_set_{}"), ("_get_{}_sdp_enabled", "_set_sdp_use_{}"))
_CONTEXTS = frozenset({"grad_enabled", "torch_function_state", "tracing_state", "thread_name", "dispatch_mode"})
"""Where a thread is at the moment, which is no setting; ``with`` statements leave these by themselves."""
_PRECISION_OF = tuple(itertools.product(("generic", "cuda", "mkldnn"), ("all", "matmul", "conv", "rnn")))


class Setting(NamedTuple):
    """How one setting is read, and how it is written back."""

    read: Callable[[], Any]
    write: Callable[[Any], object]


@functools.cache
def settings_by_pairs() -> tuple[Setting, ...]:
    """All flags of torch's core that can be read without arguments and hold plain values."""
    return (*_flags(), *_precisions())


def _flags() -> Iterator[Setting]:
    functions = vars(torch._C)
    for reading, writing in _NAMES:
        begin, end = reading.split("{}")
        for name, read in functions.items():
            if not (name.startswith(begin) and name.endswith(end)):
                continue
            flag = name[len(begin) : len(name) - len(end)]
            write = functions.get(writing.format(flag))
            if write is not None and flag not in _CONTEXTS and _is_plain(_value(read)):
                yield Setting(functools.partial(_value, read), functools.partial(_write, write))


def _precisions() -> Iterator[Setting]:
    """The precision of float32 products, for each backend and kind of operation; newer than the flags for the same."""
    read: Any = getattr(torch._C, "_get_fp32_precision_getter", None)
    write: Any = getattr(torch._C, "_set_fp32_precision_setter", None)
    if read is None or write is None:
        return
    for place in _PRECISION_OF:
        if _value(read, *place) is not None:
            yield Setting(functools.partial(_value, read, *place), functools.partial(write, *place))


def _value(read: Callable[..., Any], *place: str) -> Any:
    """What a flag holds; ``None`` where torch does not say, as for one that does not exist in this build."""
    try:
        return read(*place)
    except (TypeError, RuntimeError, ValueError):
        return None


def _write(write: Callable[..., Any], found: Any) -> None:
    if isinstance(found, tuple):
        write(*found)
    else:
        write(found)


def _is_plain(value: Any) -> bool:
    parts = value if isinstance(value, (tuple, list)) else (value,)
    # enumerations that are made in C++ are no `enum.Enum`, but tell their members
    return all(isinstance(part, (bool, int, str, enum.Enum)) or hasattr(type(part), "__members__") for part in parts)
