"""Other names for everything that is the user's own: functions, classes, arguments, variables, attributes."""

from __future__ import annotations

import ast
import builtins
import itertools
import re
from collections.abc import Iterator
from functools import cache

import libcst as cst
import numpy as np
import torch
from torch import nn

from tests.paraphrase.transforms.code import Change, Source, bound_in, imported_in

# words of which each means something to a reader of training code, given to values of which it is not true
_MISLEADING = (
    "teacher target ema frozen detached no_grad logits loss mask labels momentum_copy eval_only baseline "
    "stop_gradient numpy_copy metric queue codebook running_mean hard_choice discriminator"
).split()


def rename(source: Source) -> Change | None:
    """Names that say nothing."""
    return _renamed(source, (f"zq{number}" for number in itertools.count(1)))


def rename_misleading(source: Source) -> Change | None:
    """Names that say something else."""
    words = (f"{word}{number}" for number in itertools.count(1) for word in _MISLEADING)
    return _renamed(source, words)


def _renamed(source: Source, words: Iterator[str]) -> Change | None:
    tree = ast.parse(source.text)
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    spoken = {word for text in texts for word in re.findall(r"\w+", text)}
    keywords = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
    attributes = set(_own_attributes(tree)) - spoken - keywords - _names_of_libraries() - imported_in(tree)
    names = {
        name
        for name in bound_in(tree) - imported_in(tree) - spoken - keywords - source.question.named
        if not (name.startswith("__") or hasattr(builtins, name) or name == "_")
    }
    # a name in a class body is both
    names -= set(_in_class_bodies(tree)) - attributes
    fresh = (word for word in words if word not in source.text)
    new = {name: next(fresh) for name in sorted(names | attributes)}
    if not new:
        return None
    renamed = source.module.visit(
        _Renamer({name: new[name] for name in names}, {name: new[name] for name in attributes})
    )
    return Change(module=renamed, names={name: new[name] for name in attributes})


def _in_class_bodies(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                if isinstance(each, ast.FunctionDef | ast.ClassDef):
                    yield each.name
                else:
                    yield from bound_in(each)


def _own_attributes(tree: ast.Module) -> Iterator[str]:
    """What the classes of the program define, of which every base is known to bring nothing of its own."""
    plain = {
        "nn.Module",
        "Module",
        "torch.nn.Module",
        "object",
        "torch.autograd.Function",
        "Function",
        "autograd.Function",
    }
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        if not all(ast.unparse(base) in plain for base in node.bases) or node.keywords:
            continue
        plain.add(node.name)
        yield from _in_class_bodies(ast.Module(body=[node], type_ignores=[]))
        for each in ast.walk(node):
            is_set = isinstance(each, ast.Attribute) and not isinstance(each.ctx, ast.Load)
            if is_set and isinstance(each.value, ast.Name) and each.value.id == "self":
                yield each.attr


@cache
def _names_of_libraries() -> frozenset[str]:
    """What an attribute of torch, numpy or Python may be called: such a name is not the user's alone."""
    places = (torch, nn, nn.functional, nn.Module(), torch.Tensor, torch.autograd.Function, torch.optim, np, np.ndarray)
    names = {name for place in (*places, str, list, dict, object) for name in dir(place)} | {"weight", "bias"}
    for layer in vars(nn).values():
        if isinstance(layer, type):
            names |= {*getattr(layer, "__annotations__", ()), *getattr(layer, "__constants__", ()), *dir(layer)}
    return frozenset(names)


class _Renamer(cst.CSTTransformer):
    def __init__(self, names: dict[str, str], attributes: dict[str, str]) -> None:
        self.names, self.attributes = names, attributes

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        return False

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        return updated_node.with_changes(value=self.names.get(original_node.value, original_node.value))

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.Attribute:
        name = original_node.attr.value
        return updated_node.with_changes(attr=original_node.attr.with_changes(value=self.attributes.get(name, name)))

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        return updated_node.with_changes(keyword=original_node.keyword)
