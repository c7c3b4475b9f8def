"""The lines of source that a finding shows, kept with it: the files may change, or go, before it is shown again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from gradflow.diagnose.diagnostic import Diagnostic, SourceLine
from gradflow.location import LONGEST_LINE, NEAR, source_line

__all__ = ["line_reader", "with_source"]


def with_source(diagnostic: Diagnostic, lines: Mapping[str, Mapping[int, str]] = MappingProxyType({})) -> Diagnostic:
    """The finding with the lines around its places; unchanged where it has them already.

    ``lines`` are those of a recording, by file and number: they are what ran, whatever its file has become.
    """
    if diagnostic.source is not None:
        return diagnostic
    spans = [*([diagnostic.location] if diagnostic.location else []), *(one.span for one in diagnostic.annotations)]
    wanted = {(span.path, line) for span in spans for line in range(span.line - NEAR, span.line + NEAR + 1)}
    kept = []
    for path, line in sorted(wanted):
        text = lines.get(path, {}).get(line)
        text = source_line(path, line)[:LONGEST_LINE] if text is None else text
        if text.strip():
            kept.append(SourceLine(path=path, line=line, text=text))
    return replace(diagnostic, source=tuple(kept))


def line_reader(diagnostic: Diagnostic) -> Callable[[str, int], str]:
    """A function that gives the text of a line: as the finding has it, else from the file."""
    if diagnostic.source is None:
        return source_line
    texts = {(one.path, one.line): one.text for one in diagnostic.source}
    return lambda path, line: texts.get((path, line), "")
