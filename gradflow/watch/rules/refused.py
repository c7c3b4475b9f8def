"""GF114, GF107, GF109, GF205, GF103, GF501: torch refused outright what the program asked for, and says why."""

from __future__ import annotations

import ast

from gradflow.location import SourceSpan
from gradflow.recording.program.events import Failure
from gradflow.source.class_source import parse_file
from gradflow.source.definitions import definition_of, expression_at
from gradflow.torch_facts.messages import refusals
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["REFUSALS"]


def _integer(observation: Observation, failure: Failure) -> Finding | None:
    said = failure.message
    if not refusals.WHOLE_NUMBERS.is_in(said):
        return None
    return finding(
        "integer-input",
        "error",
        "a gradient is asked of whole numbers, which cannot have one",
        failure.span,
        label="an integer tensor",
        notes=(
            f"torch says: {said}",
            "a whole number cannot move a little, so there is no derivative with respect to it",
        ),
        helps=(
            (
                "of token ids, ask at their embedding: `e = model.embed(ids).detach().requires_grad_()`, "
                "and go on from `e`"
            ),
            "if they are pixel values or the like, convert them: `x = x.float().requires_grad_()`",
        ),
        is_parameter=True,
        rank=0,
        operation=failure.operation,
    )


def _flag_refused(observation: Observation, failure: Failure) -> Finding | None:
    if not refusals.FLAG_OF_A_COMPUTED_TENSOR.is_in(failure.message):
        return None
    refused = [flag.on for flag in observation.program.flags if flag.error]
    # the message is asked only where nothing was recorded
    if refused[-1] if refused else not refusals.FLAG_SWITCHED_OFF.is_in(failure.message):
        return _switched_on(observation, failure)
    return finding(
        "requires-grad-off",
        "error",
        "`requires_grad` cannot be switched off on a tensor that was computed",
        failure.span,
        label="this tensor has a history",
        notes=(
            "autograd has recorded how this tensor was made; only leaves (inputs, parameters) can be switched",
            "switched off, it could not be differentiated either: it is the very thing whose gradient is wanted",
        ),
        helps=("remove this line", "to get the values without their history, use `.detach()` on a copy"),
        rank=0,
        operation=failure.operation,
    )


def _switched_on(observation: Observation, failure: Failure) -> Finding:
    """It requires grad already, as what is computed from a leaf that does; what is missing is that it keeps its own."""
    return finding(
        "non-leaf-grad",
        "error",
        "`requires_grad` is set on a tensor that was computed: torch lets it be set on leaves only",
        failure.span,
        label="this tensor requires grad already, because what it was computed from does",
        notes=("autograd fills `.grad` of leaves (inputs, parameters); of a computed tensor it is kept on demand",),
        helps=("for its gradient, write `.retain_grad()` in place of this, before backward", "else remove this line"),
        rank=0,
        operation=failure.operation,
    )


def _hook_refused(observation: Observation, failure: Failure) -> Finding | None:
    """``register_hook`` or ``retain_grad`` on a tensor without history: what made it so decides."""
    if not any(said.is_in(failure.message) for said in _NO_HOOK):
        return None
    frozen = [
        flag for flag in observation.program.flags if not flag.on and flag.was and not flag.error and flag.is_leaf
    ]
    is_off = bool(len(observation.recording)) and observation.recording.operations.mode[-1] != 0
    if is_off or not frozen:
        return None
    return finding(
        "nothing-requires-grad",
        "broken",
        "a gradient is asked of a tensor without history: nothing before it requires grad",
        observation.recording.site_span(frozen[0].site),
        label="frozen here",
        annotations=((failure.span, "its gradient is asked for here"),),
        notes=(
            "autograd records an operation only when one of its inputs requires grad; here none does",
            f"torch says: {failure.message}",
        ),
        helps=("let the input require grad, which leaves the parameters frozen: `x.requires_grad_(True)`",),
        rank=0,
        operation=failure.operation,
    )


_NO_HOOK = (refusals.HOOK_WITHOUT_HISTORY, refusals.RETAIN_WITHOUT_HISTORY)


def _optimizer_refused(observation: Observation, failure: Failure) -> Finding | None:
    """``torch.optim.SGD([x])`` where ``x`` was computed, as by ``.double()`` or ``.to(device)``."""
    if not refusals.NON_LEAF_OPTIMIZED.is_in(failure.message):
        return None
    name, made = _computed_argument(failure)
    return finding(
        "non-leaf-grad",
        "error",
        f"the optimizer is given {f'`{name}`' if name else 'a tensor'}, which is computed and not a leaf",
        made or failure.span,
        label="the last step makes it a computed tensor" if made is not None else "given to the optimizer here",
        annotations=((failure.span, "refused here"),),
        notes=(
            "autograd fills `.grad` of leaves only, so an optimizer could not step on anything else",
            f"torch says: {failure.message}",
        ),
        helps=(
            "set `requires_grad` after the last step that makes it: `torch.rand(5).double().requires_grad_()`",
            "or cut what came before: `x = x.detach().requires_grad_()`",
        ),
        target=name,
        rank=0,
        operation=failure.operation,
    )


def _computed_argument(failure: Failure) -> tuple[str, SourceSpan | None]:
    """The one name among the tensors that the optimizer was given, and where it was assigned a computed value."""
    span = failure.span
    call = expression_at(span)
    if not isinstance(call, ast.Call) or not call.args or span is None:
        return "", None
    parts = [node for node in ast.walk(call.args[0]) if isinstance(node, ast.Name | ast.Attribute)]
    places = {ast.unparse(node): definition_of(span, node, failure.callers) for node in parts}
    computed = [name for name, place in places.items() if isinstance(_value_at(place), ast.Call | ast.BinOp)]
    return (computed[0], places[computed[0]]) if len(computed) == 1 else ("", None)


def _value_at(place: SourceSpan | None) -> ast.expr | None:
    tree = parse_file(place.path) if place is not None else None
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Assign | ast.AnnAssign) and place is not None and node.lineno == place.line:
            return node.value
    return None


def _inference_refused(observation: Observation, failure: Failure) -> Finding | None:
    """A tensor of an ``inference_mode`` region is used where autograd would have to keep it."""
    if not refusals.INFERENCE_TENSOR_SAVED.is_in(failure.message):
        return None
    recording = observation.recording
    regions = [
        recording.operations.region[operation]
        for operation in range(min(failure.operation, len(recording)))
        if recording.operations.mode[operation] == 2 and recording.outputs_of(operation)
    ]
    if not regions:
        return None
    several = len(set(regions)) > 1
    return finding(
        "inference-mode",
        "broken",
        "a tensor made under `torch.inference_mode()` is used in a computation that is to be differentiated",
        recording.site_span(regions[-1]),
        label="what is computed in here can never take part in autograd",
        annotations=((failure.span, "used here"),),
        notes=(
            *(("there are several such regions; this is the one that ran last before",) if several else ()),
            f"torch says: {failure.message.split('. ')[0]}",
        ),
        helps=(
            "if no gradient is wanted there, use `torch.no_grad()` instead: its tensors are ordinary constants",
            "or take a copy outside the region: `features = features.clone()`",
            "if a gradient is wanted, remove the region",
        ),
        rank=0,
        operation=failure.operation,
    )


def _write_refused(observation: Observation, failure: Failure) -> Finding | None:
    if not refusals.LEAF_WRITTEN_TO.is_in(failure.message):
        return None
    part = "a part of " if refusals.VIEW_OF_LEAF_WRITTEN_TO.is_in(failure.message) else ""
    return finding(
        "inplace-modification",
        "error",
        "a leaf that requires grad is written to in place, which autograd refuses",
        failure.span,
        label=f"writes to {part}a leaf that requires grad",
        notes=(
            "the gradient of a leaf is that at the values which the forward saw; written over, they would be lost",
            f"torch says: {failure.message}",
        ),
        helps=(
            "to update a parameter by hand, do it inside `with torch.no_grad():`",
            "to compute with it, write to a new tensor (`y = x + 1`) or to `x.clone()`",
        ),
        rank=0,
        operation=failure.operation,
    )


REFUSALS = (_integer, _flag_refused, _hook_refused, _optimizer_refused, _inference_refused, _write_refused)
"""Each looks at one exception."""
