"""Whether an operation stands in the source at its place, or ran inside what is called there."""

from __future__ import annotations

import re

from gradflow.location import SourceSpan, source_line

__all__ = ["ELSEWHERE", "is_written_at"]

ELSEWHERE = "use something else here, or an option of what is called, that keeps the history"
"""The way out for somebody who calls what does it, and cannot change its lines."""


def is_written_at(span: SourceSpan | None, name: str) -> bool:
    """Whether the word occurs in the lines of a place; true also where they cannot be read."""
    if span is None:
        return True
    last = span.end_line or span.line
    text = "\n".join(source_line(span.path, number) for number in range(span.line, last + 1))
    return not text.strip() or re.search(rf"\b{re.escape(name)}\b", text) is not None
