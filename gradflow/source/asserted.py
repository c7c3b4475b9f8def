"""What an assertion of the program demands of a value that is read within it: a test that passed wanted it so."""

from __future__ import annotations

import ast
import functools
import unittest
from collections.abc import Mapping

from gradflow.location import SourceSpan
from gradflow.source.class_source import parse_file, span_of_node
from gradflow.source.definitions import expression_at

__all__ = ["asserts_absence", "demands", "zeros_compared_with"]


@functools.lru_cache(maxsize=2048)
def asserts_absence(span: SourceSpan | None) -> bool:
    """Whether what is read at a place stands in an assertion that holds because it is ``None``.

    ``assert x.grad is None``, ``assert not any(p.grad is not None for p in ps)``, ``self.assertIsNone(x.grad)``.
    """
    tree = parse_file(span.path) if span is not None else None
    node: ast.AST | None = expression_at(span)
    if tree is None or node is None:
        return False
    parents = _parents(tree)
    # of the expression so far: whether it is still the value itself, and whether it is true of `None`
    is_value, holds = True, False
    while (above := parents.get(node)) is not None:
        match above:
            case ast.Assert(test=test):
                return node is test and holds
            case ast.Call(func=ast.Attribute(attr=name), args=given) if node in given:
                seen = None if is_value else holds
                return all(one is node or isinstance(one, ast.Constant) for one in given) and _accepts(
                    name, tuple(one.value if isinstance(one, ast.Constant) else seen for one in given)
                )
            case ast.Compare(ops=[operator], left=left, comparators=[right]) if is_value:
                other = right if node is left else left
                if not (isinstance(other, ast.Constant) and other.value is None):
                    return False
                if not isinstance(operator, ast.Is | ast.IsNot | ast.Eq | ast.NotEq):
                    return False
                holds, is_value = isinstance(operator, ast.Is | ast.Eq), False
            case ast.UnaryOp(op=ast.Not()):
                holds, is_value = not holds, False
            case ast.BoolOp(op=ast.Or()) if not holds:
                return False  # something else makes it true
            case ast.BoolOp():
                is_value = False
            case ast.GeneratorExp(elt=each) | ast.ListComp(elt=each) if node is each:
                is_value = False
            case ast.Call(func=ast.Name(id="all" | "any"), args=[only]) if node is only:
                is_value = False
            case _:
                return False
        node = above
    return False


@functools.lru_cache(maxsize=32)
def _parents(tree: ast.Module) -> Mapping[ast.AST, ast.AST]:
    return {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}


@functools.lru_cache(maxsize=64)
def _accepts(assertion: str, values: tuple[object, ...]) -> bool:
    """Ask the assertion of ``unittest`` itself; any other function gets it for its own ends."""
    if not assertion.startswith("assert") or assertion not in vars(unittest.TestCase):
        return False
    try:
        getattr(unittest.TestCase(), assertion)(*values)
    except (AssertionError, TypeError):
        return False
    return True


@functools.lru_cache(maxsize=2048)
def demands(span: SourceSpan | None) -> bool:
    """Whether an assertion holds only where the comparison at a place is true throughout.

    As in ``assert torch.equal(a, b)``, ``self.assertTrue((a == 0).all())`` or ``torch.testing.assert_close(a, b)``.
    """
    tree = parse_file(span.path) if span is not None else None
    node: ast.AST | None = expression_at(span)
    if tree is None or node is None:
        return False
    parents = _parents(tree)
    while (above := parents.get(node)) is not None:
        match above:
            case ast.Assert(test=test):
                return node is test
            case ast.Expr():
                return isinstance(node, ast.Call)  # one that decides for itself
            case ast.Call(func=ast.Attribute(attr=name), args=[only]) if node is only and name != "all":
                return _accepts(name, (True,)) and not _accepts(name, (False,))
            case ast.Call(func=ast.Name(id="all" | "bool") | ast.Attribute(attr="all")) if node is not above.func:
                pass
            case ast.Attribute(attr="all" | "item") | ast.Call(func=ast.Attribute(attr="all" | "item")):
                pass
            case ast.BoolOp(op=ast.And()) | ast.GeneratorExp() | ast.ListComp():
                pass
            case _:
                return False
        node = above
    return False


@functools.lru_cache(maxsize=2048)
def zeros_compared_with(span: SourceSpan | None) -> bool:
    """Whether what is computed at a place is demanded to equal a zero that is written there as a number."""
    tree = parse_file(span.path) if span is not None else None
    node = expression_at(span)
    above = _parents(tree).get(node) if tree is not None and node is not None else None
    match node, above:
        case (_, ast.Compare(ops=[ast.Eq()], left=left, comparators=[right])) | (
            ast.Compare(ops=[ast.Eq()], left=left, comparators=[right]),
            _,
        ):
            compared = above if isinstance(above, ast.Compare) else node
            is_zero = any(isinstance(one, ast.Constant) and one.value == 0 for one in (left, right))
            return is_zero and compared is not None and span is not None and demands(span_of_node(span.path, compared))
        case (_, ast.Call(func=ast.Attribute(attr=name), args=[first, second])):
            values = tuple(one.value if isinstance(one, ast.Constant) else 0 for one in (first, second))
            others = tuple(one.value if isinstance(one, ast.Constant) else 1 for one in (first, second))
            return values == (0, 0) and _accepts(name, values) and not _accepts(name, others)
    return False
