"""Backward needs a tensor that was changed in place: which one, and which line changed it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import torch

from gradflow.location import SourceSpan, is_installed
from gradflow.record.backward.walk import Node
from gradflow.torch_facts.messages import of_backward, refusals
from gradflow.torch_facts.nodes import packed, saved, saved_tensors
from gradflow.torch_facts.operations.queries import writes_in_place
from gradflow.watch.finding import Finding, finding
from gradflow.watch.post_mortem.aftermath import Aftermath
from gradflow.watch.post_mortem.autograd_facts import nodes_behind
from gradflow.watch.post_mortem.look import is_module, is_tensor, look_up
from gradflow.watch.post_mortem.scope import Scope, scope_of_call
from gradflow.watch.post_mortem.source import Position, text_of

__all__ = ["leaf_written_to", "saved_tensor_changed"]

_HELPS = (
    "write the result to a new tensor instead: `y = y + 1` and not `y += 1`",
    "or change a copy: `.clone()` before this line",
)


def saved_tensor_changed(after: Aftermath) -> tuple[Finding, ...]:
    """``backward`` refused: "modified by an inplace operation"."""
    said = f"torch says: {after.said.split('. Hint')[0]}"
    spoiled = [found for root in after.roots for node in nodes_behind(root) or () for found in _spoiled(node)]
    helps = (*_HELPS, "if it was `optimizer.step()`: call it after all backward passes that use the old parameters")
    for node, tensor in spoiled:
        for text, is_parameter in _names_of(tensor, after):
            change = _change_of(text, is_parameter, after)
            place, what = change if change is not None else (None, "")
            is_likely = False
            if place is None:
                place, what = _inside_call(text, after)
                is_likely = place is not None
            notes = [f"`{node.name()}` keeps `{text}` for its backward, and finds other numbers in it", said]
            if place is None:
                notes.append("which line changed it is not determined: no line of this function writes to it")
            if is_likely:
                notes.append("likely, not proven: it is the one line that writes to a tensor in what is called here")
            return (
                finding(
                    "inplace-modification",
                    "error",
                    f"backward cannot run: `{text}`, which it needs, was changed in place",
                    place or after.span,
                    label=what if place is not None else "found by this backward",
                    annotations=((after.span, "backward needs the old numbers here"),),
                    notes=tuple(notes),
                    helps=helps,
                    target=text,
                    score=after.score,
                    rank=0,
                ),
            )
    kept = f"`{spoiled[0][0].name()}` keeps it for its backward; " if spoiled else ""
    suspects = _writing_modules(after)
    return (
        finding(
            "inplace-modification",
            "error",
            "backward cannot run: a tensor that it needs was changed in place",
            after.span,
            label="found by this backward",
            notes=(
                f"{kept}it has no name in this function, so it lies in a function or module that has returned",
                *([f"modules that write to their input: {', '.join(suspects)}"] if suspects else []),
                said,
                "which line changed it is not determined, because what ran before was not seen",
            ),
            helps=(*helps, "for the line, run the program with `gradflow run`"),
            score=after.score,
            rank=0,
        ),
    )


def leaf_written_to(after: Aftermath) -> tuple[Finding, ...]:
    """An in-place operation was refused: "a leaf Variable that requires grad is being used"."""
    is_view = refusals.VIEW_OF_LEAF_WRITTEN_TO.is_in(after.said)
    return (
        finding(
            "inplace-modification",
            "error",
            "a leaf that requires grad is written to in place, which autograd refuses",
            after.span,
            label="writes to a leaf that requires grad" if not is_view else "writes to a part of a leaf",
            notes=(
                "the gradient of a leaf is that at the values which the forward saw; written over, they would be lost",
                f"torch says: {after.said}",
            ),
            helps=(
                "to update a parameter by hand, do it inside `with torch.no_grad():`",
                "to compute with it, write to a new tensor (`y = x + 1`) or to `x.clone()`",
            ),
            rank=0,
        ),
    )


def _spoiled(node: Node) -> Iterator[tuple[Node, torch.Tensor]]:
    """What a node has kept and can no longer use; asking for it raises the very error of backward."""
    for name in saved_tensors(node):
        try:
            raw = packed(node, name)
        except RuntimeError:
            continue  # a list that this backward has let go of already: it was used as it was
        if isinstance(raw, tuple) or getattr(raw, "unpack_hook", True) is not None:
            continue
        try:
            saved(node, name)
        except RuntimeError as error:
            if of_backward.CHANGED_IN_PLACE.is_in(str(error)) and is_tensor(raw.data):
                yield node, raw.data


def _same_memory(a: torch.Tensor, b: torch.Tensor) -> bool:
    try:
        return bool(a.untyped_storage()._cdata == b.untyped_storage()._cdata)
    except (RuntimeError, NotImplementedError):  # sparse and other tensors without storage
        return False


def _names_of(saved: torch.Tensor, after: Aftermath) -> Iterator[tuple[str, bool]]:
    """Under which names the frame, or a module in it, holds that memory."""
    if after.scope is None:
        return
    modules: dict[str, Any] = {}
    for text, node in _chains(after.scope):
        value = look_up(node, after.scope.names)
        if is_tensor(value) and _same_memory(value, saved):
            yield text, isinstance(value, torch.nn.Parameter)
        elif is_module(value):
            modules[text] = value
    for text, module in modules.items():
        for name, parameter in _named_parameters(module):
            if _same_memory(parameter, saved):
                yield f"{text}.{name}", True


def _named_parameters(module: Any, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    own = object.__getattribute__(module, "__dict__")
    for name, parameter in own.get("_parameters", {}).items():
        if parameter is not None:
            yield f"{prefix}{name}", parameter
    for name, child in own.get("_modules", {}).items():
        if is_module(child):
            yield from _named_parameters(child, f"{prefix}{name}.")


def _chains(scope: Scope) -> Iterator[tuple[str, ast.expr]]:
    seen = set()
    for _, node in scope.listing.statements:
        if isinstance(node, (ast.Name, ast.Attribute)):
            text = ast.unparse(node)
            if text not in seen and text.count(".") <= 2:
                seen.add(text)
                yield text, node


def _change_of(text: str, is_parameter: bool, after: Aftermath) -> tuple[SourceSpan, str] | None:
    """The last line before the failing one that writes to a name; for a parameter, an optimizer's step."""
    scope = after.scope
    if scope is None:
        return None
    found: list[tuple[Position, ast.stmt | ast.expr, str]] = []
    for position, node in scope.listing.statements:
        if position >= scope.end:
            continue
        if _writes(node, text):
            found.append((position, node, f"changed in place here (`{text_of(node, 40)}`)"))
        elif is_parameter and _is_step(node, scope):
            found.append((position, node, "the optimizer changes parameters here"))
    if not found:
        return None
    position, node, label = found[-1]
    return scope.span(node, position), label


def _inside_call(text: str, after: Aftermath) -> tuple[SourceSpan | None, str]:
    """The one line that writes in place in the function that made a value, by its source."""
    scope = after.scope
    if scope is None:
        return None, ""
    defined = [one for one in scope.listing.definitions(text) if one.position < scope.end]
    found: list[SourceSpan] = []
    for call in ast.walk(defined[-1].node) if defined else ():
        inside = scope_of_call(call, scope) if isinstance(call, ast.Call) else None
        if inside is not None and not is_installed(inside[0].listing.paths[0]):
            inner = inside[0]
            written = [row for row in inner.listing.statements if _is_writing(row[1])]
            found += [inner.span(node, position) for position, node in written]
    return (found[0], "changes a tensor in place") if len(found) == 1 else (None, "")


def _is_writing(node: ast.AST) -> bool:
    match node:
        case ast.AugAssign(target=target):
            return _writes(node, ast.unparse(target))
        case ast.Assign(targets=[ast.Subscript(value=owner)]):
            return _writes(node, ast.unparse(owner))
        case ast.Call(func=ast.Attribute(value=owner)):
            return _writes(node, ast.unparse(owner)) or any(_writes(node, ast.unparse(one)) for one in node.args[:1])
    return False


def _writes(node: ast.AST, text: str) -> bool:
    match node:
        case ast.AugAssign(target=target):
            return ast.unparse(target) == text or (
                isinstance(target, ast.Subscript) and ast.unparse(target.value) == text
            )
        case ast.Assign(targets=[ast.Subscript(value=owner)]):
            return ast.unparse(owner) in (text, f"{text}.data")
        case ast.Call(func=ast.Attribute(value=owner, attr=name), args=arguments, keywords=keywords):
            if not name.startswith("_") and writes_in_place(name):
                if ast.unparse(owner) in (text, f"{text}.data"):
                    return True
                return bool(arguments) and ast.unparse(arguments[0]) == text
            inplace = any(one.arg == "inplace" and getattr(one.value, "value", None) is True for one in keywords)
            return inplace and bool(arguments) and ast.unparse(arguments[0]) == text
    return False


def _is_step(node: ast.AST, scope: Scope) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr="step")):
            return torch.optim.Optimizer in type(look_up(owner, scope.names)).__mro__
    return False


def _writing_modules(after: Aftermath) -> list[str]:
    """Modules of the frame with ``inplace=True``, such as ``nn.ReLU(inplace=True)``."""
    found = []
    for text, node in _chains(after.scope) if after.scope is not None else ():
        value = look_up(node, after.scope.names) if after.scope is not None else None
        if is_module(value):
            found += [f"`{text}.{name}`" for name, module in _named_modules(value) if _is_inplace(module)]
    return found[:4]


def _named_modules(module: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, child in object.__getattribute__(module, "__dict__").get("_modules", {}).items():
        if is_module(child):
            yield f"{prefix}{name}", child
            yield from _named_modules(child, f"{prefix}{name}.")


def _is_inplace(module: Any) -> bool:
    return object.__getattribute__(module, "__dict__").get("inplace") is True
