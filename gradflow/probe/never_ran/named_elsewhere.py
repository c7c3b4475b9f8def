"""Code in the body of a class that reads an attribute of the layer's name from something else than ``self``.

``OPS = {"deep": lambda model, h: model.deep(h)}`` may mean the layer: no reading of the source follows what ``model``
is there, so it is not said that no code calls the layer.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from gradflow.location import SourceSpan, is_machinery
from gradflow.probe.layer_view import LayerView
from gradflow.source.class_source import class_source, parse_file, span_of_node

__all__ = ["named_elsewhere", "told_names"]


def named_elsewhere(view: LayerView) -> tuple[SourceSpan, ...]:
    """The places in the body of a class, but outside of its methods, which are read already; one for each line."""
    name = view.path.partition(".")[0]
    found: dict[tuple[str, int], SourceSpan] = {}
    for cls in view.cls.__mro__:
        for path, body in _bodies(cls):
            outside = [part for part in body.body if not isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef))]
            for node in (node for part in outside for node in ast.walk(part)):
                if isinstance(node, ast.Attribute) and node.attr == name and isinstance(node.ctx, ast.Load):
                    found.setdefault((path, node.lineno), span_of_node(path, node))
    return tuple(span for _, span in sorted(found.items()))


def told_names(places: Sequence[SourceSpan], cls: type, written: str) -> str:
    """What is known of the calls of a layer that no code which was followed calls."""
    if not places:
        return f"no code of `{cls.__qualname__}` calls `{written}`"
    return (
        f"no code of `{cls.__qualname__}` calls `{written}` by this name; "
        f"line {places[0].line} reads an attribute of its name, and whose that is was not followed"
    )


def _bodies(cls: type) -> Iterator[tuple[str, ast.ClassDef]]:
    """The definition of a class of the user's, in the files where its methods stand."""
    source = class_source(cls) if not cls.__module__.startswith(("torch.", "builtins")) else None
    for path in dict.fromkeys(method.path for method in source.methods) if source is not None else ():
        tree = None if is_machinery(path) else parse_file(path)
        for node in ast.walk(tree) if tree is not None else ():
            if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
                yield path, node
