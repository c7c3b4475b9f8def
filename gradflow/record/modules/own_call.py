"""Modules whose class calls them past the hooks of torch: the lines of their own code tell that they ran."""

from __future__ import annotations

from collections.abc import Iterable
from types import CodeType, FunctionType
from typing import Any

import torch

from gradflow.location import SourceSpan
from gradflow.recording import UnseenCall

__all__ = ["calls_past_hooks"]

_CALLING = ("__call__", "_wrapped_call_impl", "_call_impl")


def calls_past_hooks(
    modules: Iterable[tuple[str, torch.nn.Module]], seen: Iterable[str], spans: Iterable[SourceSpan]
) -> dict[str, UnseenCall]:
    """The modules that no hook has seen and of whose own code a line was recorded, by qualified name.

    Parameters
    ----------
    modules
        All of the model, with their qualified names.
    seen
        Names of those that hooks have seen.
    spans
        The places of what was recorded, by site number.
    """
    known = set(seen)
    found: dict[str, UnseenCall] = {}
    placed = [(span, site) for site, span in enumerate(spans)]
    for name, module in modules:
        if name in known or not _has_own_call(type(module)):
            continue
        codes = _codes(type(module))
        site = next((site for span, site in placed if any(_is_in(span, code) for code in codes)), -1)
        if site >= 0:
            found[name] = UnseenCall(kind="own call", what=type(module).__name__, site=site)
    return found


def _has_own_call(cls: type) -> bool:
    return any(_found(cls, name) is not vars(torch.nn.Module)[name] for name in _CALLING)


def _found(cls: type, name: str) -> Any:
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)


def _codes(cls: type) -> tuple[CodeType, ...]:
    """The code of what the class runs when it is called."""
    found = (_found(cls, name) for name in ("forward", *_CALLING))
    own = (one for one in found if isinstance(one, FunctionType) and one.__module__ != torch.nn.Module.__module__)
    return tuple(one.__code__ for one in own)


def _is_in(span: SourceSpan, code: CodeType) -> bool:
    return (
        span.path == code.co_filename
        and span.function.startswith(code.co_qualname)
        and (span.line >= code.co_firstlineno)
    )
