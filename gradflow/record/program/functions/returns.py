"""Where the backward of the program's own Functions returns."""

from __future__ import annotations

from collections.abc import Mapping

from gradflow.location import SourceSpan
from gradflow.record.calls.applications import is_custom
from gradflow.source.custom_backward import missing_return

__all__ = ["last_returns"]


def last_returns(functions: Mapping[str, type]) -> dict[str, SourceSpan]:
    """Where the backward of each Function that ran returns, by the name of its class."""
    spans = {cls.__name__: missing_return(cls, 0) for cls in functions.values() if is_custom(cls)}
    return {name: span for name, span in spans.items() if span is not None}
