"""A report whose names and texts can be printed: what every renderer for people starts from."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, TypeVar

from gradflow.diagnose.diagnostic import Diagnostic, Help, SourceLine
from gradflow.graph.elements import Branch, BranchPath, Cut, Edge, Node
from gradflow.graph.flow_graph import FlowGraph
from gradflow.location import SourceSpan
from gradflow.printable import printable, printable_prose

__all__ = ["printable_copy"]

T = TypeVar("T")

# ids are never shown as they are, and what they name must stay one thing: two names may be printed alike
_IDS: dict[type, frozenset[str]] = {
    Branch: frozenset({"fork", "join"}),
    BranchPath: frozenset({"nodes"}),
    Cut: frozenset({"node", "source"}),
    Edge: frozenset({"source", "target"}),
    Node: frozenset({"id"}),
}
# sentences that may have line breaks of their own
_PROSE: dict[type, frozenset[str]] = {Diagnostic: frozenset({"notes"}), Help: frozenset({"text"})}


def printable_copy(value: T) -> T:
    """A report, or a part of one, with the same texts, made printable: each is one line that drives nothing.

    Places in source code stay as they are, because the file is still to be read: :func:`gradflow.source_place.place`
    names them; so do lines of source, which are made printable with the marks in them. Ids of nodes stay too.
    """
    copied: T = _copied(value)
    return copied


def _copied(value: Any, shown: Callable[[str], str] = printable) -> Any:
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, tuple):
        entries = tuple(_copied(entry, shown) for entry in value)
        return value if all(new is old for new, old in zip(entries, value, strict=True)) else entries
    if isinstance(value, FlowGraph):
        return FlowGraph.deferred(functools.partial(_flow, value))  # most formats do not look at it
    if isinstance(value, (SourceSpan, SourceLine)) or not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    changed = {}
    prose = _PROSE.get(type(value), ())
    for name in _shown_fields(value.__class__):
        old = getattr(value, name)
        new = _copied(old, printable_prose if name in prose else printable)
        if new is not old:
            changed[name] = new
    return dataclasses.replace(value, **changed) if changed else value


@functools.cache
def _shown_fields(cls: Any) -> tuple[str, ...]:
    return tuple(one.name for one in dataclasses.fields(cls) if one.name not in _IDS.get(cls, ()))


def _flow(flow: FlowGraph) -> FlowGraph:
    modules = tuple(text for entry in flow.modules for text in entry)
    if _is_printable(modules) and all(map(_are_printable, (flow.nodes, flow.cuts, flow.branches))):
        return flow
    return FlowGraph(
        nodes=_copied(flow.nodes),
        edges=flow.edges,
        cuts=_copied(flow.cuts),
        branches=_copied(flow.branches),
        modules=_copied(flow.modules),
        score=flow.score,
        layer=flow.layer,
        omitted_count=flow.omitted_count,
    )


def _are_printable(elements: tuple[Any, ...]) -> bool:
    """Whether nothing is to be done, found out without a look at each: there may be a hundred thousand."""
    if not elements:
        return True
    names = [name for name in _shown_fields(elements[0].__class__) if isinstance(getattr(elements[0], name), str)]
    return all(_is_printable(map(attrgetter(name), elements)) for name in names)


def _is_printable(texts: Iterable[str]) -> bool:
    together = "".join(texts)
    return together.isprintable() and "##" not in together
