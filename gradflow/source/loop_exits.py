"""Where a loop is left before its last round: what stands in it does not run for the elements after that."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gradflow.location import SourceSpan
from gradflow.source.class_source import MethodSource
from gradflow.source.guard import Guard, guards_of

__all__ = ["LoopExit", "is_in_loop", "loop_exits"]

_LOOPS = (ast.For, ast.AsyncFor, ast.While)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopExit:
    """A ``break``, ``return`` or ``raise`` that leaves a loop.

    ``guard`` is the innermost condition within the loop under which it stands, ``None`` where there is none: the loop
    then has one round at most.
    """

    span: SourceSpan
    text: str
    guard: Guard | None


def is_in_loop(method: MethodSource, node: ast.AST) -> bool:
    """Whether a loop, or a comprehension, stands around a node."""
    return any(isinstance(parent, (*_LOOPS, ast.comprehension)) for _, parent in method.ancestors(node)) or any(
        hasattr(parent, "generators") for _, parent in method.ancestors(node)
    )


def loop_exits(
    method: MethodSource,
    node: ast.AST,
    executed: frozenset[tuple[str, int]],
    is_known: Callable[[ast.expr], bool],
) -> tuple[LoopExit, ...]:
    """What leaves the loops around a node, those of the innermost loop first."""
    found = []
    for child, parent in method.ancestors(node):
        if not isinstance(parent, _LOOPS) or child not in parent.body:
            continue
        for statement in _leaving(parent.body, leaves_by_break=True):
            guards = guards_of(method, statement, executed, is_known)
            within = [guard for guard in guards if guard.span.line >= parent.body[0].lineno]
            guard = within[-1] if within else None
            found.append(LoopExit(span=method.span(statement), text=method.text(statement), guard=guard))
    return tuple(found)


def _leaving(block: list[ast.stmt], *, leaves_by_break: bool) -> Iterator[ast.stmt]:
    for statement in block:
        match statement:
            case ast.Return() | ast.Raise():
                yield statement
            case ast.Break() if leaves_by_break:
                yield statement
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                pass  # runs when it is called
            case ast.For() | ast.AsyncFor() | ast.While():
                yield from _leaving(statement.body, leaves_by_break=False)
                yield from _leaving(statement.orelse, leaves_by_break=leaves_by_break)
            case _:
                for inner in _blocks(statement):
                    yield from _leaving(inner, leaves_by_break=leaves_by_break)


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The blocks of an ``if``, ``with``, ``try`` or ``match``."""
    for _, part in ast.iter_fields(statement):
        if not isinstance(part, list) or not part:
            continue
        if isinstance(part[0], ast.stmt):
            yield part
        elif isinstance(part[0], (ast.ExceptHandler, ast.match_case)):
            yield from (each.body for each in part)
