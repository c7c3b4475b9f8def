"""The lines of source that a finding shows, kept with it: the files may change, or go, before it is shown again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gradflow.diagnose.diagnostic import Diagnostic, SourceLine
from gradflow.location import source_line

__all__ = ["line_reader", "with_source"]

_NEAR = 3
"""So many lines on each side of a marked one may be shown with it."""

_LONGEST = 2_000
"""Characters kept of a line: past that it is data, not code."""


def with_source(diagnostic: Diagnostic) -> Diagnostic:
    """The finding with the lines around its places; unchanged where it has them already."""
    if diagnostic.source is not None:
        return diagnostic
    spans = [*([diagnostic.location] if diagnostic.location else []), *(one.span for one in diagnostic.annotations)]
    wanted = {(span.path, line) for span in spans for line in range(span.line - _NEAR, span.line + _NEAR + 1)}
    lines = ((path, line, source_line(path, line)) for path, line in sorted(wanted) if line > 0)
    kept = tuple(SourceLine(path=path, line=line, text=text[:_LONGEST]) for path, line, text in lines if text.strip())
    return replace(diagnostic, source=kept)


def line_reader(diagnostic: Diagnostic) -> Callable[[str, int], str]:
    """A function that gives the text of a line: as the finding has it, else from the file."""
    if diagnostic.source is None:
        return source_line
    texts = {(one.path, one.line): one.text for one in diagnostic.source}
    return lambda path, line: texts.get((path, line), "")
