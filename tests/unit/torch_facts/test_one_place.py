"""What torch does not promise is named in one folder: no other file reaches for a private name of torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def private_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Attributes of ``torch...`` and names imported from it that begin with an underscore, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [f"{node.module}.{one.name}" for one in node.names]
        elif isinstance(node, ast.Attribute):
            found = [dotted(node)]
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
