"""What torch does not promise is named in one folder: its private names, and the words of its messages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import gradflow

_ROOT = Path(gradflow.__file__).parent
_FILE_FORMATS = _ROOT / "load" / "files"
"""Readers of torch's files go by the names that torch writes into them, private or not."""


def dotted(node: ast.expr) -> str:
    """``a.b.c`` as it is written; empty for anything that is not made of names alone."""
    if isinstance(node, ast.Name):
        return node.id
    before = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{before}.{node.attr}" if isinstance(node, ast.Attribute) and before else ""


_NODE = (torch.ones(1, requires_grad=True) * 2).grad_fn
_OF_OBJECTS = frozenset(
    name for one in (torch.Tensor, torch.nn.Module, torch.optim.Optimizer, _NODE) for name in dir(one) if name[0] == "_"
)


_ASKING = frozenset({"getattr", "hasattr", "setattr", "delattr"})


def names_of_torch(tree: ast.AST) -> dict[str, str]:
    """What a file calls what it imports from torch, with what that is there."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update({one.asname: one.name for one in node.names if one.asname and one.name.startswith("torch.")})
        elif isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("torch."):
            found.update({one.asname or one.name: f"{node.module}.{one.name}" for one in node.names})
    return found


def is_private_of_an_object(name: str) -> bool:
    """Whether torch's tensors, modules, optimizers or nodes have it, and promise nothing of it."""
    return not name.startswith("__") and (name in _OF_OBJECTS or name.startswith("_saved_"))


def private_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Attributes of ``torch...`` and names imported from it that begin with an underscore, with their lines.

    By whatever name a file has them, and as the text by which an attribute is asked for.
    """
    aliases = names_of_torch(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [f"{node.module}.{one.name}" for one in node.names]
        elif isinstance(node, ast.Attribute):
            head, dot, rest = dotted(node).partition(".")
            found = [f"{aliases.get(head, head)}{dot}{rest}"]
            if node.attr.startswith("_saved_"):
                found.append(f"torch.{node.attr}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _ASKING:
            texts = [one.value for one in node.args[1:2] if isinstance(one, ast.Constant)]
            found = [f"torch.{text}" for text in texts if isinstance(text, str) and is_private_of_an_object(text)]
        else:
            continue
        for name in found:
            parts = name.split(".")
            if parts[0] == "torch" and any(part.startswith("_") and not part.startswith("__") for part in parts):
                yield node.lineno, name


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("torch._C._autograd", ["torch._C._autograd", "torch._C"]),
        ("from torch.utils._pytree import tree_map", ["torch.utils._pytree.tree_map"]),
        ("torch.nn.Module.__call__", []),
        ("tensor._version", []),
        ("torch.ones(self._shape).to(device)", []),
        ("from torch import Tensor\nTensor._make_subclass", ["torch.Tensor._make_subclass"]),
        ("from torch import Tensor\nTensor.add_", []),
        ("import torch.nn.functional as F\nF._pad", ["torch.nn.functional._pad"]),
        ("from torch.nn.modules import batchnorm as bn\nbn._NormBase", ["torch.nn.modules.batchnorm._NormBase"]),
        ("getattr(node, '_saved_dim', None)", ["torch._saved_dim"]),
        ("node._saved_dim", ["torch._saved_dim"]),
        ("hasattr(node, '_input_metadata')", ["torch._input_metadata"]),
        ("getattr(value, '_fields', ())", []),
    ],
)
def test_private_names_are_found(source: str, expected: list[str]) -> None:
    assert [name for _, name in private_names(ast.parse(source))] == expected


def test_no_file_outside_names_what_torch_keeps_private() -> None:
    found = [
        f"{path.relative_to(_ROOT)}:{line}: {name}"
        for path in sorted(_ROOT.rglob("*.py"))
        if "torch_facts" not in path.parts and _FILE_FORMATS not in path.parents
        for line, name in private_names(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


_TEXTS = frozenset({"message", "said", "error"})
_MATCHING = frozenset({"search", "match", "fullmatch", "startswith", "endswith", "find", "index", "count"})


def is_what_was_said(node: ast.expr) -> bool:
    """The text of an exception, by what such names are called here: ``failure.message``, ``said``, ``str(error)``."""
    match node:
        case ast.Call(func=ast.Attribute(value=inner, attr="lower" | "strip" | "casefold")):
            return is_what_was_said(inner)
        case ast.Call(func=ast.Name(id="str"), args=[ast.Name(id=name)]):
            return name in ("error", "exception", "raised", "caught")
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name in _TEXTS
        case _:
            return False


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant | ast.JoinedStr) and not isinstance(getattr(node, "value", ""), bytes)


def texts_read(tree: ast.AST) -> Iterator[int]:
    """The lines on which words are looked for in what an exception says."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[right]):
                is_read = is_what_was_said(right) and (is_text(left) or isinstance(left, ast.Name))
            case ast.Call(func=ast.Attribute(value=value, attr=attr), args=[first, *_]) if attr in _MATCHING:
                is_read = is_what_was_said(value) or (
                    attr in ("search", "match", "fullmatch") and is_what_was_said(first)
                )
            case _:
                continue
        if is_read:
            yield node.lineno


@pytest.mark.parametrize(
    ("source", "is_read"),
    [
        ('"second time" in said', True),
        ('"second time" not in failure.message.lower()', True),
        ("any(word in failure.message for word in words)", True),
        ("_FUNCTION.search(said)", True),
        ("str(error).startswith('Trying')", True),
        ("of_backward.GRAPH_FREED.is_in(said)", False),
        ("name in names", False),
        ("'a' in reasons", False),
    ],
)
def test_texts_that_are_read_are_found(source: str, is_read: bool) -> None:
    assert bool(list(texts_read(ast.parse(source)))) is is_read


def test_no_file_outside_reads_what_torch_says() -> None:
    found = [
        f"{path.relative_to(_ROOT)}:{line}"
        for path in sorted(_ROOT.rglob("*.py"))
        if "torch_facts" not in path.parts and _FILE_FORMATS not in path.parents
        for line in texts_read(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []
