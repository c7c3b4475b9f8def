"""No other file lists operations: what is known of several of them is a word of the table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import gradflow
from gradflow.torch_facts.operations.table import row_of

_ROOT = Path(gradflow.__file__).parent
_ELSEWHERE = {
    "diagnose/cause_texts.py": "how two ways of detaching are written",
    "graph/chance/score_function.py": "families of joins, which have a place of their own",
    "graph/derivatives.py": "data types",
    "layers/roles.py": "words in the names of classes",
    "load/files/pickles/arrays.py": "names in files",
    "load/inputs/random_input.py": "data types",
    "probe/double_precision.py": "arguments",
    "probe/repairing.py": "two functions that only give a tensor another name",
    "probe/usage.py": "attributes and methods of modules",
    "record/operations/tensor_facts.py": "what torch's own slots are read for",
    "record/patches.py": "where patches sit",
    "record/state/fingerprints.py": "kinds of devices",
    "record/program/harmless.py": "methods that reach beyond their arguments",
    "record/program/hooks/registrations.py": "where hooks are kept",
    "watch/post_mortem/aftermath.py": "the calls that raise",
    "watch/post_mortem/cuts.py": "Python's own types",
    "watch/post_mortem/look.py": "how Python's own containers are read",
    "watch/post_mortem/references.py": "attributes",
    "watch/rules/nothing_left.py": "the two that people add up with",
}
"""Files with such lists that say nothing about what an operation does, and what they are."""


def lists_of_operations(tree: ast.AST) -> Iterator[tuple[int, list[str]]]:
    """Displays of strings of which most are names of operations, or of nodes of autograd, with their lines."""
    of_torch = names_of_torch(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Set(elts=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts):
                pass
            case ast.Dict(keys=keys):
                parts = [key for key in keys if key is not None]
            case _:
                continue
        texts = [text for one in parts if (text := _named(one, of_torch))]
        known = [text for text in texts if row_of(text) is not None or text.endswith(("Backward", "Backward0"))]
        if len(known) > 1 and 2 * len(known) > len(texts):
            yield node.lineno, texts


def names_of_torch(tree: ast.AST) -> dict[str, str]:
    """What a file calls torch, its modules and what it imports from them, with what that is in torch."""
    found = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found.update(
                    {
                        one.asname or "torch": one.name if one.asname else "torch"
                        for one in names
                        if _is_torchs(one.name)
                    }
                )
            case ast.ImportFrom(module=str(module), names=names) if _is_torchs(module):
                found.update({one.asname or one.name: f"{module}.{one.name}" for one in names})
    return found


def _is_torchs(name: str) -> bool:
    return name.partition(".")[0] == "torch"


def _named(node: ast.expr, of_torch: dict[str, str]) -> str:
    """What an entry names: ``sum`` of ``"sum"``, ``"aten::sum.dim"``, ``torch.sum``, ``Tensor.sum``; of no class."""
    match node:
        case ast.Constant(value=str(text)):
            return text.removeprefix("aten::").partition(".")[0] if text.startswith("aten::") else text
        case ast.Name(id=name):
            full = of_torch.get(name, "")
        case ast.Attribute():
            path = []
            while isinstance(node, ast.Attribute):
                path.append(node.attr)
                node = node.value
            is_torchs = isinstance(node, ast.Name) and node.id in of_torch
            full = ".".join([of_torch[node.id], *reversed(path)]) if is_torchs else ""
        case _:
            return ""
    return "" if _is_class(full) else full.rpartition(".")[2]


def _is_class(full: str) -> bool:
    """``torch.Size`` and ``torch.dtype``, of which the last parts are names of operations, too."""
    found: object = torch if full else None
    for part in full.split(".")[1:]:
        found = getattr(found, part, None)
    return isinstance(found, type)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('("aten::sum", "aten::mean.dim")', 1),
        ("import torch\n{torch.sum, torch.Tensor.mean}", 1),
        ("from torch import Tensor, mean\nseen in (Tensor.sum, mean)", 1),
        ("import torch as t, torch.nn.functional as F\n[t.relu, F.gelu]", 1),
        ("from numpy import sum, mean\n(sum, mean)", 0),
        ("import torch\n(torch.float32, torch.float16, torch.sum)", 0),
        ('name in ("sum", "mean")', 1),
        ('{"item": "`.item()`", "tolist": "`.tolist()`"}', 1),
        ('frozenset({"ReluBackward0", "ThresholdBackward0"})', 1),
        ('name == "sum"', 0),
        ('("input", "output", "sum")', 0),
    ],
)
def test_lists_are_found(source: str, count: int) -> None:
    assert len(list(lists_of_operations(ast.parse(source)))) == count


def test_no_other_file_lists_operations() -> None:
    found = [
        (str(path.relative_to(_ROOT)), line, texts)
        for path in sorted(_ROOT.rglob("*.py"))
        if "torch_facts" not in path.parts
        for line, texts in lists_of_operations(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert [one for one in found if one[0] not in _ELSEWHERE] == []
    assert {one[0] for one in found} == _ELSEWHERE.keys()
