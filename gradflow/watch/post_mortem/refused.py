"""Smaller refusals of autograd: a score that is no scalar, tensors of inference mode."""

from __future__ import annotations

import ast

from gradflow.diagnose.cause_texts import text_for
from gradflow.location import SourceSpan
from gradflow.source.class_source import parse_file, span_of_node
from gradflow.watch.finding import Finding, finding
from gradflow.watch.post_mortem.aftermath import Aftermath
from gradflow.watch.post_mortem.autograd_facts import describe
from gradflow.watch.post_mortem.cuts import is_reentrant_checkpoint, switch_of
from gradflow.watch.post_mortem.look import is_tensor, look_up
from gradflow.watch.post_mortem.references import key_of, references_in
from gradflow.watch.post_mortem.source import text_of

__all__ = ["checkpoint_refuses", "inference_tensor", "no_scalar"]


def no_scalar(after: Aftermath) -> tuple[Finding, ...]:
    """``backward`` refused: "grad can be implicitly created only for scalar outputs"."""
    index = next((number for number, root in enumerate(after.roots) if root.numel() != 1), 0)
    root = after.roots[index] if index < len(after.roots) else None
    node = after.root_node(index)
    name = text_of(node) if node is not None else "loss"
    shown = f"`{name}`" if node is not None else "the score"
    zeros = ", ".join(["0"] * (root.dim() if root is not None else 1))
    facts = (f"{shown} is {describe(root)}: {root.numel():,} numbers",) if root is not None else ()
    return (
        finding(
            "backward-raised",
            "error",
            f"backward is called on {shown}, which is not a single number",
            after.span,
            label="of which number should the gradient be?",
            notes=(*facts, "a gradient says how one number changes; of several, autograd would have to guess a sum"),
            helps=(
                f"reduce it: `{name}.mean().backward()` or `{name}.sum().backward()`",
                f"or choose one number: `{name}[{zeros}].backward()`",
            ),
            score=shown,
            rank=0,
        ),
    )


def checkpoint_refuses(after: Aftermath) -> tuple[Finding, ...]:
    """Reentrant checkpointing refused ``autograd.grad``: the one call in the file that asks for it."""
    path = after.scope.listing.paths[-1] if after.scope is not None else ""
    tree = parse_file(path)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)] if tree is not None else []
    found = [span_of_node(path, call) for call in calls if is_reentrant_checkpoint(call)]
    place = found[0] if len(found) == 1 else None
    return (
        finding(
            "reentrant-checkpoint",
            "error",
            "reentrant checkpointing does not work with `torch.autograd.grad`, or with `backward(inputs=...)`",
            place or after.span,
            label="checkpointed with `use_reentrant=True`" if place is not None else "refused here",
            annotations=((after.span, "differentiated here"),),
            notes=(f"torch says: {after.said.split('. ')[0]}",),
            helps=("call `checkpoint(..., use_reentrant=False)`",),
            score=after.score,
            rank=0,
        ),
    )


def inference_tensor(after: Aftermath) -> tuple[Finding, ...]:
    """A tensor made in inference mode is used where autograd would have to record it."""
    name, made, switch = _inference_name(after)
    text = text_for("inference-mode", "")
    shown = f"`{name}`" if name else "a tensor"
    return (
        finding(
            "inference-mode",
            "error",
            f"{shown} was made in inference mode, and can never take part in autograd",
            switch or made or after.span,
            label=text.label if switch else "made in inference mode" if made else "autograd is to record it here",
            annotations=(
                (made, f"{shown} is made here"),
                (after.span, "autograd is to record it here"),
                (None if switch or made else _only_switch(after), "likely: the one place in this file that does so"),
            ),
            notes=(text.note, f"torch says: {after.said.split('. ')[0]}"),
            helps=("use `torch.no_grad()` instead where it is made", "or use a copy: `.clone()`"),
            target=name,
            rank=0,
        ),
    )


def _only_switch(after: Aftermath) -> SourceSpan | None:
    """The one ``torch.inference_mode()`` of the file, where there is exactly one."""
    path = after.scope.listing.paths[-1] if after.scope is not None else ""
    tree = parse_file(path)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)] if tree is not None else []
    found = [call for call in calls if (switch := switch_of(call)) is not None and switch[0] == "inference-mode"]
    return span_of_node(path, found[0]) if len(found) == 1 else None


def _inference_name(after: Aftermath) -> tuple[str, SourceSpan | None, SourceSpan | None]:
    """The name of the tensor, where it is set, and where the mode is switched on around that."""
    if after.scope is None or after.expression is None:
        return "", None, None
    nodes: list[ast.expr] = references_in(after.expression, after.scope.names)
    for node in nodes:
        value = look_up(node, after.scope.names)
        if not (is_tensor(value) and value.is_inference()):
            continue
        defined = after.scope.last_definitions(node, key_of(node), after.scope.end)
        if not defined:
            return text_of(node), None, None
        switch = after.scope.switched_off(defined[0].position)
        is_mode = switch is not None and switch[0] == "inference-mode"
        return text_of(node), defined[0].span(), switch[1] if switch is not None and is_mode else None
    return "", None, None
