"""The score, or the tensor whose gradient is asked for, has no history: where it was lost."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from gradflow.diagnose.cause_texts import text_for
from gradflow.watch.finding import Finding, finding
from gradflow.watch.post_mortem.aftermath import Aftermath
from gradflow.watch.post_mortem.autograd_facts import carries_history, describe, frozen_count
from gradflow.watch.post_mortem.freezing import freezing_line, is_to_learn
from gradflow.watch.post_mortem.look import MISSING, is_module, is_tensor, look_up
from gradflow.watch.post_mortem.loss_findings import MORE, loss_findings
from gradflow.watch.post_mortem.source import text_of
from gradflow.watch.post_mortem.stores import stored_losses
from gradflow.watch.post_mortem.trail import Trail

__all__ = ["asked_of_plain_tensor", "number_is_no_score", "score_is_plain"]


def score_is_plain(after: Aftermath) -> tuple[Finding, ...]:
    """``backward`` refused: "does not require grad and does not have a grad_fn"."""
    index = next((number for number, root in enumerate(after.roots) if not root.requires_grad), 0)
    root = after.roots[index] if index < len(after.roots) else None
    return _about(after, root, after.root_node(index), is_score=True)


def asked_of_plain_tensor(after: Aftermath) -> tuple[Finding, ...]:
    """Autograd refused a tensor whose gradient was asked for, or a hook on it."""
    for index, tensor in enumerate(after.inputs):
        if not tensor.requires_grad:
            return _about(after, tensor, after.input_node(index), is_score=False)
    if after.inputs or not after.root_nodes:
        return score_is_plain(after) if any(not root.requires_grad for root in after.roots) else ()
    # a method of the tensor itself: `retain_grad`, `register_hook`
    root = after.roots[0] if after.roots else None
    return _about(after, root, after.root_node(), is_score=False)


def number_is_no_score(after: Aftermath) -> tuple[Finding, ...]:
    """``backward`` is asked of a number or an array: "'float' object has no attribute 'backward'"."""
    match after.expression:
        case ast.Attribute(value=node, attr="backward") if after.scope is not None:
            trail = Trail(carries_history)
            value = look_up(node, after.names)
            trail.search(node, after.scope, None if value is MISSING else value)
            kind = after.said.partition("'")[2].partition("'")[0]
            message = f"`{text_of(node)}` is a `{kind}` and no tensor"
            said = f"Python says: {after.said}"
            return loss_findings(trail.losses, message, after.span, score=f"`{text_of(node)}`", facts=(said,))
    return ()


def _about(
    after: Aftermath, tensor: torch.Tensor | None, node: ast.expr | None, *, is_score: bool
) -> tuple[Finding, ...]:
    name = f"`{text_of(node)}`" if node is not None else "the score" if is_score else "the tensor asked for"
    if tensor is not None and not (tensor.dtype.is_floating_point or tensor.dtype.is_complex) and not is_score:
        return (_whole_numbers(after, name, tensor),)
    if isinstance(tensor, torch.nn.Parameter) and not is_score:
        return (_frozen_parameter(after, name, name.strip("`")),)
    facts = _facts(name, tensor)
    said = f"torch says: {after.said.split('. ')[0]}"
    message = f"{name} has no history" if is_score else f"a gradient is asked of {name}, which has no history"
    target, score = ("", after.score) if is_score else (name.strip("`"), after.score if after.inputs else "")
    trail = Trail(carries_history)
    if node is not None and after.scope is not None:
        trail.search(node, after.scope, tensor)
    losses = [*trail.losses, *stored_losses(after, node, tensor)]
    if tensor is not None and tensor.is_inference():
        losses = [replace(loss, is_proven=True) for loss in losses if loss.cause == "inference-mode"]
        if not losses:
            return (_inference(after, message, facts),)
    frozen = [(text, value) for text, value in trail.plain if is_module(value) and _is_frozen(value)]
    is_frozen = bool(frozen)
    is_meant = any(is_to_learn(module, after.names) for _, module in frozen)
    if losses and is_meant:
        losses = []  # what is cut off on the way to a layer that is to learn is not what keeps that layer from it
    elif losses:
        facts = (*facts, *(f"`{text}`, on the way, is frozen, and gives no history either" for text, _ in frozen))
    kept = losses or (() if is_frozen else trail.aside)
    found = loss_findings(kept, message, after.span, target=target, score=score, facts=(*facts, said))
    if found:
        return found
    off = loss_findings(trail.switches, message, after.span, target=target, score=score, facts=(*facts, said))
    if off and not is_frozen:
        return off
    return (*off, _undetermined(after, message, trail, (*facts, said), target, score, is_meant=is_meant))


def _facts(name: str, tensor: torch.Tensor | None) -> tuple[str, ...]:
    facts = []
    if tensor is not None:
        facts.append(f"{name} is {describe(tensor)}")
    if not torch.is_grad_enabled():
        facts.append("recording is switched off at this very moment (`torch.is_grad_enabled()` is `False`)")
    return tuple(facts)


def _undetermined(
    after: Aftermath,
    message: str,
    trail: Trail,
    facts: Sequence[str],
    target: str,
    score: str,
    *,
    is_meant: bool,
) -> Finding:
    """No line is found: nothing that takes part requires grad, or it cannot be told."""
    modules = {text: frozen_count(module) for text, module in trail.plain if is_module(module)}
    frozen = {text: modules[text] for text, value in trail.plain if is_module(value) and _is_frozen(value)}
    leaves = [text for text, value in trail.plain if is_tensor(value) and not value.requires_grad]
    is_all_plain = is_meant or not any(count[0] < count[1] for count in modules.values())
    if is_all_plain and (frozen or (leaves and trail.is_whole)):
        place = freezing_line(after.scope, tuple(frozen)) if frozen and after.scope is not None else None
        notes = [
            "autograd records an operation only when one of its inputs requires grad; here none does",
            *(f"all {count[1]} parameters of `{text}` are frozen" for text, count in frozen.items()),
            *([f"without `requires_grad` as well: {_listed(leaves)}"] if frozen and leaves else []),
            *([] if frozen else [f"it was computed from {_listed(leaves)} alone"]),
            *facts,
            *(["an optimizer holds parameters of it, so it is to learn"] if is_meant else []),
            *([] if trail.is_whole or is_meant else ["likely, not proven: not all of it could be followed back"]),
        ]
        return finding(
            "nothing-requires-grad",
            "broken",
            f"{message}: nothing that it was computed from requires grad",
            place or after.span,
            label="frozen here" if place is not None else "there is nothing to differentiate with respect to",
            annotations=((after.span, "there is nothing to differentiate with respect to"),),
            notes=tuple(notes),
            helps=("let the input require grad, or unfreeze what is to learn: `x.requires_grad_(True)`",),
            severity="error" if trail.is_whole or is_meant else "warning",
            target=target,
            score=score,
            rank=0,
        )
    return finding(
        "backward-raised",
        "error",
        message,
        after.span,
        label="raised here",
        notes=(
            *facts,
            "where the history was lost is not determined, because the source and the values that are left do not tell",
        ),
        helps=MORE,
        target=target,
        score=score,
        rank=0,
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))


def _is_frozen(module: Any) -> bool:
    frozen, count = frozen_count(module)
    return 0 < count == frozen


def _inference(after: Aftermath, message: str, facts: Sequence[str]) -> Finding:
    text = text_for("inference-mode", "")
    return finding(
        "inference-mode",
        "broken",
        f"{message}: it was computed in inference mode",
        after.span,
        label="marked for good as made in inference mode",
        notes=(text.note, *facts, "the line that switches the mode on is not determined"),
        helps=text.helps,
        rank=0,
    )


def _frozen_parameter(after: Aftermath, name: str, target: str) -> Finding:
    return finding(
        "not-trainable",
        "broken",
        f"a gradient is asked of {name}, whose `requires_grad` is `False`",
        after.span,
        label="asked for here",
        notes=("it is a parameter that was frozen; autograd leaves out what does not require grad",),
        helps=(f"switch it on before the forward: `{name.strip('`')}.requires_grad_(True)`",),
        target=target,
        is_parameter=True,
        rank=0,
    )


def _whole_numbers(after: Aftermath, name: str, tensor: torch.Tensor) -> Finding:
    return finding(
        "integer-input",
        "error",
        f"a gradient is asked of {name}, which holds whole numbers",
        after.span,
        label="an integer tensor has no gradient",
        notes=(
            f"{name} is {describe(tensor)}",
            "a whole number cannot move a little, so there is no derivative with respect to it",
        ),
        helps=(
            "of token ids, ask at the output of the embedding",
            "if they are pixel values or the like, convert them first: `x = x.float().requires_grad_()`",
        ),
        target=name.strip("`"),
        rank=0,
    )
