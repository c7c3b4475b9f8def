"""GF303, GF402 to GF406, GF111: a path exists, and the gradient that comes along it is zero or is not handed on."""

from __future__ import annotations

import math

from gradflow.diagnose.cause_texts import text_for
from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help, Severity
from gradflow.diagnose.operation_place import operation_place
from gradflow.diagnose.score_path import score_path
from gradflow.diagnose.verdict import verdict_of
from gradflow.location import SourceSpan
from gradflow.probe.evidence import Evidence, NodeFlow

__all__ = ["gradient_is_lost_in_backward", "gradient_is_zero", "position_is_not_read"]

_PIECEWISE = frozenset({
    "round", "round_", "floor", "floor_", "ceil", "ceil_", "trunc", "trunc_", "fix", "sign", "sign_", "sgn", "heaviside",
    "floor_divide", "grid_sample", "grid_sampler", "__floordiv__", "quantize_per_tensor", "bernoulli", "poisson",
})  # fmt: skip
_BOUNDED = frozenset({
    "relu", "relu_", "relu6", "clamp", "clamp_", "clip", "clip_", "clamp_min", "clamp_min_", "clamp_max", "clamp_max_",
    "hardtanh", "hardtanh_", "hardsigmoid", "hardswish", "threshold", "sigmoid", "sigmoid_", "tanh", "tanh_", "softmax",
    "log_softmax", "logsigmoid", "gelu", "silu", "elu", "selu", "celu", "hardshrink", "softshrink", "maximum", "minimum",
    "softplus", "leaky_relu", "exp", "erf", "rrelu", "prelu", "glu", "mish", "cross_entropy", "nll_loss", "hinge_embedding_loss",
})  # fmt: skip
_MULTIPLYING = frozenset({
    "mul", "mul_", "__mul__", "__rmul__", "__imul__", "multiply", "matmul", "__matmul__", "mm", "bmm", "linear", "conv1d", "conv2d",
    "conv3d", "conv_transpose2d", "einsum", "dropout", "dropout2d", "addmm", "baddbmm", "lerp", "addcmul", "prod", "div",
    "alpha_dropout", "feature_dropout", "bilinear", "masked_fill", "masked_fill_", "__truediv__", "tensordot", "dot", "mv",
})  # fmt: skip
_NORMALISING = frozenset({
    "layer_norm", "batch_norm", "instance_norm", "group_norm", "normalize", "rms_norm", "softmax", "log_softmax", "std", "var",
    "sub", "__sub__", "sum", "mean",
})  # fmt: skip
_READING = frozenset({
    "__getitem__", "select", "narrow", "index_select", "gather", "take", "unbind", "split", "chunk", "max", "min", "amax", "topk",
    "take_along_dim", "masked_select", "where", "adaptive_max_pool2d", "max_pool2d", "tensor_split",
})  # fmt: skip
_HALF_TINY = 6.1e-5


def gradient_is_zero(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """The operation at which a gradient came in and exactly zero went on, nearest to the score first."""
    if verdict_of(evidence) != "zero":
        return ()
    if evidence.slice and any(m.arrived and not m.is_zero for m in evidence.measured):
        return ()
    deaths = [flow for flow in evidence.flows if flow.dies or flow.cancels]
    diagnostics = []
    seen: set[tuple[str, SourceSpan | None]] = set()
    for flow in deaths:
        diagnostic = _death(evidence, flow)
        key = (diagnostic.name, diagnostic.location)
        if key not in seen:
            seen.add(key)
            diagnostics.append(diagnostic)
    if not diagnostics:
        return (_unexplained(evidence),)
    return tuple(diagnostics[:4])


def _death(evidence: Evidence, flow: NodeFlow) -> Diagnostic:
    name = evidence.trace.name_of(flow.operation) if flow.operation >= 0 else flow.name
    cause, label, note, advice = _cause(evidence, flow, name)
    location, annotations = operation_place(evidence, flow.operation)
    if cause == "custom-function" and flow.backward_span is not None:
        location = flow.backward_span
    magnitude = "only rounding error" if flow.cancels and not flow.dies else "exactly zero"
    return _diagnostic(
        evidence,
        cause,
        message=f"the gradient at `{evidence.target}` is zero: it dies at `{name}`",
        location=location,
        label=label,
        annotations=annotations,
        notes=(note, f"measured: {flow.incoming:.3g} (largest entry) comes in from the score, {magnitude} goes on (`{flow.name}`)"),
        helps=advice,
        module=evidence.trace.module_of(flow.operation) if flow.operation >= 0 else "",
    )


def _cause(evidence: Evidence, flow: NodeFlow, name: str) -> tuple[str, str, str, tuple[str, ...]]:
    trace = evidence.trace
    outputs = trace.outputs_of(flow.operation) if flow.operation >= 0 else ()
    shape = trace.values.shape[outputs[0]] if outputs else ()
    dtype = trace.dtype_of(outputs[0]) if outputs else ""
    if name in _PIECEWISE:
        return (
            "zero-derivative-op",
            "flat everywhere: its derivative is zero",
            f"`{name}` gives a staircase; between the steps it does not change, so its derivative is zero",
            ("use a straight-through estimator: `x + (x.round() - x).detach()`", "or a smooth stand-in such as bilinear sampling"),
        )
    if dtype in ("float16", "bfloat16") and flow.incoming < _HALF_TINY:
        return (
            "precision-underflow",
            f"too small for {dtype}",
            f"the smallest normal number of {dtype} is about {_HALF_TINY:.0e}; smaller gradients are flushed to zero",
            ("scale the loss (`torch.amp.GradScaler`), or compute this part in float32",),
        )
    normalising = name in _NORMALISING and (flow.cancels or flow.is_uniform or (len(shape) > 0 and shape[-1] == 1))
    if normalising or name in ("layer_norm", "batch_norm", "instance_norm", "group_norm"):
        return (
            "constant-score",
            "the result is the same whatever comes in",
            f"what is read from `{name}` is constant: a normalised vector or a softmax has a fixed sum, so moving the input changes nothing",
            ("make the score from values before this normalisation, for example from the logits",),
        )
    if name in _BOUNDED:
        return (
            "saturation",
            "every value sits on the flat part",
            f"`{name}` is flat where its input lies here, so no change gets through",
            ("look at the values that go in: scale them down, start from another initialisation, or use a leaky activation",),
        )
    if name in _MULTIPLYING:
        return (
            "zero-multiplier",
            "multiplied by exactly zero",
            "the other factor is zero here, and it scales the gradient as well",
            ("start the factor (gate, weight, loss weight) from something other than zero",),
        )
    if name.endswith(".apply"):
        text = text_for("custom-function", name)
        return "custom-function", "its backward returns zeros", text.note, text.helps
    if name in _READING:
        return (
            "position-not-read",
            "only some positions are read here",
            f"`{name}` takes other positions than those that come from `{evidence.target}`",
            ("ask for a layer whose positions are all read",),
        )
    return (
        "zero-multiplier",
        "a gradient comes in, zero goes on",
        f"the derivative of `{name}` is zero at this input",
        ("look at the values that go in here",),
    )


def position_is_not_read(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """The layer gets a gradient, but not at the positions that were asked for."""
    if not evidence.slice or verdict_of(evidence) != "zero":
        return ()
    if not any(measured.arrived and not measured.is_zero for measured in evidence.measured):
        return ()
    operation = _narrowest_read(evidence)
    location, annotations = operation_place(evidence, operation)
    name = evidence.trace.name_of(operation) if operation >= 0 else ""
    return (
        _diagnostic(
            evidence,
            "position-not-read",
            message=f"the gradient at `{evidence.target}{evidence.slice}` is zero: these positions are not read",
            location=location or evidence.objective_span,
            label="only other positions are read from here on" if name else "the score reads other positions",
            annotations=annotations,
            notes=("the rest of the layer's output does get a gradient, so the path itself is whole",),
            helps=(
                "ask for a layer before the positions are mixed for the last time, such as the norm before the last attention",
                "or read all positions (for example their mean) instead of one",
            ),
            module=evidence.trace.module_of(operation) if operation >= 0 else "",
        ),
    )


def _narrowest_read(evidence: Evidence) -> int:
    """The operation on the way that drops the largest share of its input; user code before gradflow's own selection."""
    trace = evidence.trace
    way = evidence.dependence.way
    best, best_share = -1, 1.0
    for before, value in zip(way, way[1:], strict=False):
        operation = trace.values.producer[value]
        if operation < 0 or trace.name_of(operation) not in _READING or trace.span_of(operation) is None:
            continue
        share = math.prod(trace.values.shape[value]) / max(1, math.prod(trace.values.shape[before]))
        if share < best_share:
            best, best_share = operation, share
    return best


def gradient_is_lost_in_backward(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """Every step was recorded, and yet nothing arrives: some backward returned no gradient."""
    if not evidence.call_count or evidence.backward_error is not None or any(m.arrived for m in evidence.measured):
        return ()
    if not (evidence.source.recorded and evidence.dependence.score_carries):
        return ()
    for flow in evidence.flows:
        if any(magnitude is None for magnitude in flow.outgoing):
            name = evidence.trace.name_of(flow.operation) if flow.operation >= 0 else flow.name
            applied, annotations = operation_place(evidence, flow.operation)
            location = flow.backward_span or applied
            if applied is not None and location != applied:
                annotations = (Annotation(span=applied, label="applied here"),)
            text = text_for("custom-function", name)
            return (
                _diagnostic(
                    evidence,
                    "custom-function",
                    message=f"no gradient reaches `{evidence.target}`: the backward of `{name.removesuffix('.apply')}` returns none",
                    location=location,
                    label="no gradient for this input",
                    annotations=annotations,
                    notes=(text.note, f"measured: a gradient comes in at `{flow.name}`, none goes on"),
                    helps=text.helps,
                    module=evidence.trace.module_of(flow.operation) if flow.operation >= 0 else "",
                ),
            )
    return ()


def _unexplained(evidence: Evidence) -> Diagnostic:
    arrived = [measured for measured in evidence.measured if measured.arrived]
    return _diagnostic(
        evidence,
        "zero-multiplier",
        severity="warning",
        message=f"the gradient at `{evidence.target}` is exactly zero in all {sum(m.entry_count for m in arrived)} entries",
        location=None,
        label="",
        annotations=(),
        notes=("the operation at which it becomes zero is not determined",),
        helps=("try another input: a gradient can be zero at one input and not at others",),
        module=evidence.target,
    )


def _diagnostic(
    evidence: Evidence,
    cause: str,
    *,
    message: str,
    location: SourceSpan | None,
    label: str,
    annotations: tuple[Annotation, ...],
    notes: tuple[str, ...],
    helps: tuple[str, ...],
    module: str,
    severity: Severity = "error",
) -> Diagnostic:
    return Diagnostic(
        code=code_of(cause),
        name=cause,
        severity=severity,
        message=message,
        location=location,
        label=label,
        annotations=annotations,
        module=module,
        path=score_path(evidence),
        notes=notes,
        helps=tuple(Help(text=text) for text in helps),
        hides=(evidence.target,),
    )
