"""The words for each way in which a path is cut: label, reason, and the change to make."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CauseText", "text_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseText:
    """``label`` goes under the source line, ``note`` says why, ``helps`` are the ways out, the one that is tried
    first.
    """

    label: str
    note: str
    helps: tuple[str, ...]


def _detach(operation: str) -> CauseText:
    written = {"data": "`.data`", "detach_": "`.detach_()`"}.get(operation, "`.detach()`")
    first = "use the tensor itself instead of `.data`" if operation == "data" else f"remove {written}"
    return CauseText(
        label="the value goes on, its gradient does not",
        note=f"{written} gives the same numbers without their history, so nothing flows back through this line",
        helps=(first,),
    )


def _no_grad(operation: str) -> CauseText:
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
            "if gradients are never wanted here in production, switch it on outside the model, where inference is called",
        ),
    )


def _numpy(operation: str) -> CauseText:
    if operation in ("item", "__float__", "__int__", "__bool__", "__index__", "tolist", "is_nonzero"):
        written = {
            "item": "`.item()`",
            "tolist": "`.tolist()`",
            "__float__": "`float(...)`",
            "__int__": "`int(...)`",
            "__index__": "an index",
            "__bool__": "a Python condition",
            "is_nonzero": "a Python condition",
        }[operation]
        return CauseText(
            label="the value becomes a Python number here",
            note=f"{written} turns the tensor into a Python value; autograd cannot follow it from there",
            helps=("keep the value a tensor: use it directly in the computation",),
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
            helps=(
                "use the computed tensor directly, for example with `torch.nn.functional` or `torch.func.functional_call`",
            ),
        )
    if operation == "data=":
        return CauseText(
            label="only the numbers are copied, not their history",
            note="assigning to `.data` replaces the values behind autograd's back",
            helps=("use the computed tensor directly instead of storing it in a parameter",),
        )
    return CauseText(
        label="copied into a new tensor without history",
        note="building a tensor from values copies the numbers only; the result is a new leaf",
        helps=("use `torch.stack` or `torch.cat` on the tensors, or the tensor itself, instead of building a new one",),
    )


def _nondiff(operation: str) -> CauseText:
    shown = operation.removesuffix("_")
    return CauseText(
        label="the result has no derivative",
        note=f"`{shown}` gives a result that does not change smoothly with its input, so there is no gradient to pass on",
        helps=(
            "use a differentiable stand-in: `softmax` for an arg-max, a sigmoid for a comparison, an interpolation for an index",
            "or pass the gradient through by hand (straight-through): `soft + (hard - soft).detach()`",
        ),
    )


def _custom(operation: str) -> CauseText:
    name = operation.removesuffix(".apply")
    return CauseText(
        label="its backward hands no gradient on",
        note=f"`{name}` is a custom `autograd.Function`: what it returns from `backward` is all that flows back",
        helps=(f"return the gradient for this input from `{name}.backward`",),
    )


def _reentrant(operation: str) -> CauseText:
    return CauseText(
        label="reentrant checkpointing does not connect what runs inside it",
        note="with `use_reentrant=True` the inside runs without recording, and only inputs that require grad are connected",
        helps=("call `checkpoint(..., use_reentrant=False)`",),
    )


def _off(operation: str) -> CauseText:
    return CauseText(
        label="`requires_grad` is switched off here",
        note="the history of the value is dropped",
        helps=("remove this line",),
    )


def _hook_detach(operation: str) -> CauseText:
    return CauseText(
        label="this hook hands on a copy without history",
        note="what a forward hook returns takes the place of the layer's output, here without its gradient path",
        helps=("return nothing from the hook, or the output itself; detach only what you store",),
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
}


def text_for(cause: str, operation: str) -> CauseText:
    """The words for a cut of the given cause at an operation named as torch names it."""
    return _TEXTS[cause](operation)
