"""GF209, GF303, GF402 to GF407: a gradient came that is zero, not finite, a sum, or of other positions."""

from __future__ import annotations

import ast
from dataclasses import replace

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.location import SourceSpan, source_line
from gradflow.probe.evidence import Evidence
from gradflow.watch.definitions import definition_of, expression_at
from gradflow.watch.events import Observation
from gradflow.watch.finding import Finding, finding
from gradflow.watch.questions import Question
from gradflow.watch.rules.engine import engine_findings

__all__ = ["a_gradient_came"]

_SMALL = 1e-6
_SCALING = frozenset({
    "mul", "__mul__", "__rmul__", "mul_", "div", "__truediv__", "pow", "__pow__", "square", "mean", "sum", "linear",
    "matmul", "mse_loss", "softmax", "conv2d",
})  # fmt: skip
_READING = frozenset({"__getitem__", "select", "narrow", "index_select", "gather", "unbind"})


def a_gradient_came(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """Look at its values."""
    measured = question.measured
    if not measured.is_finite:
        return engine_findings(observation, question, evidence)
    if measured.is_zero or evidence.is_cancelled:
        if _moves_elsewhere(observation, question):
            return ()
        return tuple(_zero(observation, found) for found in engine_findings(observation, question, evidence))
    return (*_summed_up(observation, question, evidence), *_position(observation, question, evidence))


def _moves_elsewhere(observation: Observation, question: Question) -> bool:
    """The same tensor, or the same layer, got a gradient in another backward: zero is a matter of the input then."""
    if any(b.arrived.get(question.target, (0.0, True))[0] > _SMALL for b in observation.backwards):
        return True
    return any(read.site == question.site and (read.measured.max_abs or 0.0) > _SMALL for read in observation.reads)


def _zero(observation: Observation, found: Finding) -> Finding:
    diagnostic = found.diagnostic
    if diagnostic.name == "zero-multiplier":
        place = _zero_factor(diagnostic.location)
        if place is not None:
            return replace(found, diagnostic=replace(diagnostic, location=place, label="zero comes from here"))
    underflows = diagnostic.name == "precision-underflow"
    if not underflows and diagnostic.name in ("zero-multiplier", "saturation") and _is_half(observation, found):
        underflows = True
        diagnostic = replace(
            diagnostic,
            code=code_of("precision-underflow"),
            name="precision-underflow",
            label="too small for float16",
            notes=(*diagnostic.notes[1:], "the smallest number of float16 is about 6e-08; smaller ones become zero"),
            helps=(Help(text="scale the loss (`torch.amp.GradScaler`), or compute this part in float32"),),
        )
    if underflows and observation.low_precision:
        place = observation.trace.site_span(observation.low_precision[0][0])
        if place is not None:
            where = (Annotation(span=diagnostic.location, label="becomes zero here"),) if diagnostic.location else ()
            diagnostic = replace(
                diagnostic,
                location=place,
                label="low precision from here on",
                annotations=(*where, *diagnostic.annotations),
            )
    if diagnostic.name == "constant-score":
        diagnostic = _at_reduction(observation, diagnostic)
    if diagnostic.name == "saturation":
        # at this input; another one may lie where the function is not flat
        diagnostic = replace(diagnostic, severity="warning")
    return replace(found, diagnostic=diagnostic)


def _at_reduction(observation: Observation, diagnostic: Diagnostic) -> Diagnostic:
    """A normalised vector is constant only once it is added up: that is the line to change."""
    trace = observation.trace
    for operation in range(len(trace)):
        if trace.name_of(operation) not in ("sum", "mean") or trace.values.shape[trace.outputs_of(operation)[0]]:
            continue
        producer = trace.values.producer[trace.inputs_of(operation)[0]]
        if producer >= 0 and trace.span_of(producer) == diagnostic.location and diagnostic.location is not None:
            normalised = Annotation(span=diagnostic.location, label="normalised here")
            return replace(
                diagnostic,
                location=trace.span_of(operation),
                label="adds up to the same number whatever comes in",
                annotations=(normalised, *diagnostic.annotations),
            )
    return diagnostic


def _is_half(observation: Observation, found: Finding) -> bool:
    """Whether the operation at which the gradient dies multiplies in float16."""
    trace = observation.trace
    return any(
        trace.span_of(operation) == found.diagnostic.location
        and trace.name_of(operation) in _SCALING
        and any(trace.dtype_of(value) == "float16" for value in trace.outputs_of(operation))
        for operation in range(len(trace))
    )


def _zero_factor(span: SourceSpan | None) -> SourceSpan | None:
    """Where the factor of a product was set to zero, when the product stands in the source with a name for it."""
    node = expression_at(span)
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mult) or span is None:
        return None
    for side in (node.left, node.right):
        place = definition_of(span, side)
        if place is not None and _is_zero(expression_at(place)):
            return place
        if place is not None and isinstance(side, ast.Name):
            text = expression_at(place)
            if text is None and _assigns_zero(place):
                return place
    return None


def _is_zero(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value in (0, 0.0)


def _assigns_zero(span: SourceSpan) -> bool:
    try:
        statement = ast.parse(source_line(span.path, span.line).strip()).body[0]
    except (SyntaxError, IndexError):
        return False
    return isinstance(statement, ast.Assign) and _is_zero(statement.value)


def _summed_up(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """Read after each of several backward passes, without being cleared in between."""
    read, number = question.read, question.backward_number
    if read is None or question.target not in question.backward.kept:
        return ()
    earlier = [
        other
        for other in observation.reads
        if other.value == question.target
        and other.operation < question.operation
        and 0 < other.backwards <= number
        and other.measured.arrived
        and not other.is_guard
        # never cleared since: reading once per step, after several backward passes of that step, is as it should be
        and all(_keeps(observation, question.target, between) for between in range(other.backwards, number + 1))
    ]
    if not earlier:
        return ()
    return (_accumulated(observation, question, evidence.target, question.backward.site),)


def _keeps(observation: Observation, value: int, number: int) -> bool:
    backward = observation.backwards[number]
    return value in backward.kept or backward.kind == "grad"


def _accumulated(observation: Observation, question: Question, target: str, site: int) -> Finding:
    return finding(
        "grad-accumulated",
        "wrong",
        f"`{target}.grad` is the sum of several backward passes, not the gradient of the last one",
        observation.trace.site_span(site),
        label="adds to what is there already",
        annotations=((observation.trace.site_span(question.site), "read here as if it were one gradient"),),
        notes=("`backward()` adds to `.grad`; nothing has cleared it since the pass before",),
        helps=(
            "clear it before each backward: `model.zero_grad()`, `optimizer.zero_grad()` or `x.grad = None`",
            "or use `torch.autograd.grad(score, tensor)`, which returns the gradient and adds nothing up",
        ),
        target=target,
        is_parameter=True,
        operation=question.operation,
    )


def _position(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """The gradient is there, but the part that the program takes of it is zero throughout."""
    trace = observation.trace
    if question.backward.kind != "grad" and (question.read is None or question.read.is_leaf):
        return ()
    results = set(question.backward.result_values) if question.read is None else {question.read.result}
    zero = [part for part in observation.zero_parts if part[0] in results]
    if not zero:
        return ()
    way = evidence.dependence.way
    reading = next(
        (
            producer
            for value in way
            if (producer := trace.values.producer[value]) >= 0 and trace.name_of(producer) in _READING
        ),
        -1,
    )
    return (
        finding(
            "position-not-read",
            "zero",
            f"the part of the gradient at `{evidence.target}` that is looked at is zero: the score does not read it",
            trace.span_of(reading) if reading >= 0 else trace.site_span(question.backward.site),
            label="only other positions are read from here on",
            annotations=((trace.site_span(zero[0][1]), "this part is zero throughout"),),
            notes=("the rest of the gradient is not zero, so the path itself is whole",),
            helps=("make the score from the same sample or position as the one that is looked at",),
            target=evidence.target,
            score=evidence.score,
            operation=question.operation,
        ),
    )
