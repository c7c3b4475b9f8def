"""The words for each way in which a path is cut: label, reason, and the change to make."""

from __future__ import annotations

from dataclasses import dataclass

from gradflow.graph.chance.draws import RANDOM_DRAW
from gradflow.recording.opaque import OPAQUE
from gradflow.torch_facts.operations.queries import CHANGED_THROUGH_VIEW, decides, has, has_no_derivative
from gradflow.torch_facts.operations.table import row_of
from gradflow.torch_facts.operations.writing import written

__all__ = ["NOT_REPLACED", "SEE_WHY", "CauseText", "text_for"]

NOT_REPLACED = (
    "leave the parameter that the model was built with in its place: write new values into it, or give what is "
    "computed to a function, as `torch.func.functional_call` or `torch.nn.functional` take it"
)

SEE_WHY = (
    "see why that line does not run: a condition that does not hold, or something kept from an earlier call that takes "
    "its place"
)

STRAIGHT_THROUGH = "or pass the gradient through by hand (straight-through): `soft + (hard - soft).detach()`"


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseText:
    """The words for one cause.

    ``label`` goes under the source line, ``note`` says why, ``helps`` are the ways out; the first is what is tried.
    """

    label: str
    note: str
    helps: tuple[str, ...]


def _detach(operation: str) -> CauseText:
    shown = {"data": "`.data`", "detach_": "`.detach_()`"}.get(operation, "`.detach()`")
    first = "use the tensor itself instead of `.data`" if operation == "data" else f"remove {shown}"
    return CauseText(
        label="the value goes on, its gradient does not",
        note=f"{shown} gives the same numbers without their history, so nothing flows back through this line",
        helps=(first,),
    )


def _no_grad(operation: str) -> CauseText:
    if operation == "copy_":
        return CauseText(
            label="the numbers are copied here without their history",
            note="what is copied into a tensor under `no_grad`, as `load_state_dict` does, leaves its history behind: "
            "the tensor that it is copied into stays a leaf of its own",
            helps=("use the computed tensors themselves: `torch.func.functional_call(module, tensors, inputs)`",),
        )
    return CauseText(
        label="gradient recording is switched off here",
        note="what is computed while recording is off has no history, so no gradient can flow back through it",
        helps=("let this part of the forward run with gradients on: remove the switch, or move this code out of it",),
    )


def _inference_mode(operation: str) -> CauseText:
    return CauseText(
        label="everything computed in here can never take part in autograd",
        note="tensors made under `torch.inference_mode()` are marked for good: not even `requires_grad_()` helps later",
        helps=(
            "remove `torch.inference_mode()` around this part",
            "where gradients are never wanted, switch it on outside the model, around the call that runs it",
        ),
    )


def _numpy(operation: str) -> CauseText:
    if decides(operation):
        return CauseText(
            label="a decision is taken on the value here",
            note="autograd follows the branch that was taken, and does not know that the value decided it",
            helps=("choose between tensors instead: `torch.where(condition, a, b)`, or weigh them smoothly",),
        )
    if has(operation, "number", "whole-number"):
        called = written(operation) if "(" in written(operation) else f".{operation}()"
        shown = "using a tensor as an index" if operation == "__index__" else f"`{called}`"
        return CauseText(
            label="the value becomes a Python number here",
            note=f"{shown} turns the tensor into a Python value; autograd cannot follow it from there",
            helps=("keep the value a tensor: use it directly in the computation",),
        )
    if has(operation, "capsule"):
        return CauseText(
            label="the value leaves torch here",
            note="another library takes its memory over, and what comes back is a new tensor without history",
            helps=("do this computation with torch operations",),
        )
    return CauseText(
        label="the value leaves torch here",
        note="NumPy does not record history, so what comes back from it is a new tensor without one",
        helps=("do this computation with torch operations instead of NumPy",),
    )


def _rewrap(operation: str) -> CauseText:
    if operation == "Parameter":
        return CauseText(
            label="copied into a new parameter, which starts without history",
            note="`nn.Parameter(x)` makes a new leaf: gradients stop at it and never reach what `x` was computed from",
            helps=("use the computed tensor itself, for example as a weight given to `torch.nn.functional`",),
        )
    if operation == "Variable":
        return CauseText(
            label="made into a new tensor without history",
            note="`Variable(x)` is left over from PyTorch 0.3: today it only cuts off what `x` was computed from",
            helps=("use the tensor itself instead of `Variable(...)`",),
        )
    if operation == "_make_subclass":
        return CauseText(
            label="made into a tensor of another class, without history",
            note="`torch.Tensor._make_subclass` makes a new leaf: gradients stop at it",
            helps=("use `tensor.as_subclass(...)`, which keeps the history",),
        )
    if operation in ("data=", CHANGED_THROUGH_VIEW):
        return CauseText(
            label="only the numbers are copied, not their history",
            note="what is written by way of `.data` or `.detach()` goes past autograd, which does not see it",
            helps=("use the computed tensor itself instead of storing it in another one",),
        )
    return CauseText(
        label="copied into a new tensor without history",
        note="building a tensor from values copies the numbers only; the result is a new leaf",
        helps=("use the tensor itself, or `torch.stack` or `torch.cat` on a list of tensors, instead of a new tensor",),
    )


def _nondiff(operation: str) -> CauseText:
    if operation == "grad":
        return CauseText(
            label="the result has no history",
            note="`torch.autograd.grad` gives plain numbers, unless it is told to record how they were computed",
            helps=("pass `create_graph=True`",),
        )
    if operation in OPAQUE:
        # where it gives numbers with fractions, what keeps the gradient away is not known
        return CauseText(
            label="the result has no derivative",
            note=f"what this {OPAQUE[operation]} gives are whole numbers or booleans: they cannot carry a gradient",
            helps=("compute the score from a result in floating point", STRAIGHT_THROUGH),
        )
    if has(operation, "also-indices") and has(operation, "pools"):
        return CauseText(
            label="the result has no derivative",
            note="where a maximum stands is a whole number, which jumps: there is no slope to pass back",
            helps=("use the values that it gives, not only where they stand", STRAIGHT_THROUGH),
        )
    if has(operation, "compares"):
        advice = "use a smooth step instead of the comparison: `torch.sigmoid((x - threshold) / temperature)`"
    elif has(operation, "chooses", "also-indices"):
        advice = "use soft weights instead of a choice: `softmax`, or `torch.nn.functional.gumbel_softmax`"
    elif has(operation, "whole", "casts"):
        advice = "keep the value in floating point: whole numbers and booleans cannot carry a gradient"
    elif has(operation, "counts"):
        advice = "use a soft count: a sum of smooth bumps, one per bin"
    elif row_of(operation) is not None and not has_no_derivative(operation):
        return CauseText(
            label="the result has no history",
            note=f"torch has a derivative of `{written(operation)}` and recorded none here: something within this call "
            "ends the history, such as the `__torch_function__` of a tensor subclass, or a kernel of its own",
            helps=("look there for `.detach()`, `.data`, `torch.no_grad()`, or a kernel without a backward",),
        )
    else:
        return CauseText(
            label="the result has no derivative",
            note=f"torch has no derivative of `{written(operation)}`, so it records nothing here",
            helps=("compute the score from the value before this operation, or use a smooth stand-in for it",),
        )
    return CauseText(
        label="the result has no derivative",
        note=f"`{written(operation)}` jumps from one result to the next, so there is no slope to pass back",
        helps=(advice, STRAIGHT_THROUGH),
    )


def _custom(operation: str) -> CauseText:
    name = operation.removesuffix(".apply")
    if name == operation:
        return CauseText(
            label="inside a custom `autograd.Function`",
            note=f"`{written(operation)}` runs inside a custom `autograd.Function` whose `apply` was not seen: "
            "what that returns from `backward` is all that flows back",
            helps=("return the gradient for this input from the `backward` of that Function",),
        )
    return CauseText(
        label="its backward hands no gradient on",
        note=f"`{name}` is a custom `autograd.Function`: what it returns from `backward` is all that flows back",
        helps=(f"return the gradient for this input from `{name}.backward`",),
    )


def _reentrant(operation: str) -> CauseText:
    return CauseText(
        label="reentrant checkpointing does not connect what runs inside it",
        note="with `use_reentrant=True` what runs inside is not recorded; where an input requires grad, `backward()` "
        "runs it once more, and only the tensors of that run get a gradient",
        helps=("call `checkpoint(..., use_reentrant=False)`",),
    )


def _off(operation: str) -> CauseText:
    return CauseText(
        label="`requires_grad` is switched off here",
        note="what does not require grad gets no gradient: neither where it does not while it is used, nor where it "
        "does not any more when backward runs",
        helps=("remove this line",),
    )


def _random_draw(operation: str) -> CauseText:
    first = "draw what has no parameters, and compute the rest with recording on: `.rsample()` of a distribution, or "
    first += "`mean + std * torch.randn_like(mean)`"
    if has(operation, "draws-whole"):
        first = "use a soft draw (`torch.nn.functional.gumbel_softmax`, `RelaxedBernoulli(...).rsample()`)"
    return CauseText(
        label="what is drawn here goes on, without a gradient to what it was drawn with",
        note="a draw such as `.sample()`, `torch.normal` or one under `no_grad` hands no gradient on to the values "
        "that it was drawn with, such as a mean and a scale",
        helps=(first, "or weigh `log_prob` of what was drawn with what came of it (a score-function estimator)"),
    )


def _hook_detach(operation: str) -> CauseText:
    return CauseText(
        label="this hook hands on a copy without history",
        note="the model goes on with what a hook returns, or sets for the module to read: here a value without its "
        "gradient path",
        helps=("hand on the value itself; a hook that only looks on returns nothing, and detaches what it stores",),
    )


_TEXTS = {
    "hook-detach": _hook_detach,
    "detach": _detach,
    "no-grad": _no_grad,
    "inference-mode": _inference_mode,
    "numpy-roundtrip": _numpy,
    "tensor-rewrap": _rewrap,
    "nondiff-op": _nondiff,
    "custom-function": _custom,
    "reentrant-checkpoint": _reentrant,
    "requires-grad-off": _off,
    RANDOM_DRAW: _random_draw,
}


def text_for(cause: str, operation: str) -> CauseText:
    """The words for a cut of the given cause at an operation named as torch names it."""
    return _TEXTS[cause](operation)
