"""GF402 to GF406: a gradient came, and it is zero throughout: whether that is a fault, and where it died."""

from __future__ import annotations

import ast
from dataclasses import replace

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.location import SourceSpan, source_line
from gradflow.probe.evidence import Evidence
from gradflow.recording.gradients import NodeFlow
from gradflow.source.definitions import definition_of, expression_at
from gradflow.torch_facts.nodes import RECTIFIERS
from gradflow.torch_facts.operations.queries import has
from gradflow.watch.facts.naming.names import name_of_value
from gradflow.watch.facts.questions import Question
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation
from gradflow.watch.rules.bad_numbers import zeros_of_bad_numbers
from gradflow.watch.rules.engine import engine_findings
from gradflow.watch.rules.hooks.emptied import gradient_is_emptied

__all__ = ["gradient_is_nothing"]

_SMALL = 1e-6
_DEAD_AT_LEAST = 3
"""So many passes in a row, up to the last, make what once moved a dead one."""


def gradient_is_nothing(observation: Observation, question: Question, evidence: Evidence) -> tuple[Finding, ...]:
    """Say where it died; nothing where another pass shows that zero was a matter of that input."""
    moved = _moves_elsewhere(observation, question)
    if moved and not _stays_dead(observation, question):
        return ()
    emptied = gradient_is_emptied(observation, question, evidence)
    if emptied:
        return emptied
    of_bad_numbers = zeros_of_bad_numbers(observation, question, evidence)
    if of_bad_numbers:
        return of_bad_numbers
    found = []
    for one in engine_findings(observation, question, _of_the_target(evidence, question.target)):
        named = _zero(observation, question, evidence, one)
        if not moved:
            found.append(named)
        elif named.diagnostic.name == "saturation" and _is_rectifier(evidence, one.diagnostic.location):
            note = _since_when(observation, question.target)
            diagnostic = replace(named.diagnostic, notes=(*named.diagnostic.notes, note))
            found.append(replace(named, diagnostic=diagnostic))
    return tuple(found)


def _since_when(observation: Observation, target: int) -> str:
    came = [backward.arrived[target] for backward in observation.program.backwards if target in backward.arrived]
    if any(largest > 0 for largest, _ in came):
        return "it did get a gradient in earlier passes; since then, up to the last pass, nothing has come"
    return f"nothing has come in any of the {len(came):,} passes that reached it"


def _is_rectifier(evidence: Evidence, place: SourceSpan | None) -> bool:
    """A ReLU may be dead for good; a clipped ratio or a bound that holds for a while is as it should be."""
    return any(flow.name in RECTIFIERS for flow in _ends_at(evidence, place))


def _moves_elsewhere(observation: Observation, question: Question) -> bool:
    """The same tensor, or the same layer, got a gradient in another backward: zero is a matter of the input then."""
    if any(_moves(b.arrived.get(question.target)) for b in observation.program.backwards):
        return True
    return any(
        read.site == question.site and (read.measured.max_abs or 0.0) > _SMALL for read in observation.program.reads
    )


def _moves(arrived: tuple[float, bool] | None) -> bool:
    return arrived is not None and arrived[1] and arrived[0] > _SMALL


def _stays_dead(observation: Observation, question: Question) -> bool:
    """Whether from here on to the end nothing came any more, although there was still a score to lower."""
    history = [
        (number, backward)
        for number, backward in enumerate(observation.program.backwards)
        if question.target in backward.arrived and not backward.error
    ]
    tail = 0
    for _, backward in reversed(history):
        if backward.arrived[question.target] != (0.0, True) or backward.score_is_zero:
            break
        tail += 1
    dead = {number for number, _ in history[len(history) - tail :]}
    return tail >= _DEAD_AT_LEAST and 4 * tail >= len(history) and question.backward_number in dead


def _of_the_target(evidence: Evidence, target: int) -> Evidence:
    """Without the ends that keep a gradient from others alone, and what passed nodes on the ways to others."""
    recording, depends = evidence.recording, evidence.dependence.depends
    flows = tuple(
        flow
        for flow in evidence.flows
        if (target in flow.hides if flow.hides else flow.operation < 0)
        or (not flow.hides and any(depends[value] for value in recording.inputs_of(flow.operation)))
    )
    if any(flow.is_end for flow in flows):
        return replace(evidence, flows=flows)
    # that it turns into NaN on the way to others is no matter of this one
    finite = (flow for flow in evidence.flows if flow in flows or (flow.incoming_finite and flow.outgoing_finite))
    return replace(evidence, flows=tuple(finite))


def _zero(observation: Observation, question: Question, evidence: Evidence, found: Finding) -> Finding:
    diagnostic = found.diagnostic
    if diagnostic.name == "zero-multiplier":
        gate = _gate(observation, question, evidence, diagnostic.location)
        if gate is not None:
            opens = _starting_closed(observation, diagnostic, gate)
            if (
                any(gate in optimizer.parameters for optimizer in observation.program.optimizers)
                or not observation.program.optimizers
            ):
                return replace(found, diagnostic=opens)
            name, _ = name_of_value(observation, gate)
            note = f"`{name}` gets a gradient itself, but no optimizer holds it: it stays zero"
            stays = replace(diagnostic, notes=(*diagnostic.notes, note))
            return replace(found, diagnostic=stays, unheld=(gate,), if_held=opens)
        place = _zero_factor(diagnostic.location)
        if place is not None:
            return replace(found, diagnostic=replace(diagnostic, location=place, label="zero comes from here"))
    underflows = diagnostic.name == "precision-underflow"
    if (
        not underflows
        and diagnostic.name in ("zero-multiplier", "saturation")
        and _is_half(observation, evidence, found)
    ):
        underflows = True
        diagnostic = replace(
            diagnostic,
            code=code_of("precision-underflow"),
            name="precision-underflow",
            label="too small for float16",
            notes=(*diagnostic.notes[1:], "the smallest number of float16 is about 6e-08; smaller ones become zero"),
            helps=(Help(text="scale the loss (`torch.amp.GradScaler`), or compute this part in float32"),),
        )
    if underflows and observation.program.low_precision:
        place = observation.recording.site_span(observation.program.low_precision[0][0])
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
    recording = observation.recording
    for operation in range(len(recording)):
        if (
            recording.name_of(operation) not in ("sum", "mean")
            or recording.values.shape[recording.outputs_of(operation)[0]]
        ):
            continue
        producer = recording.values.producer[recording.inputs_of(operation)[0]]
        if producer >= 0 and recording.span_of(producer) == diagnostic.location and diagnostic.location is not None:
            normalised = Annotation(span=diagnostic.location, label="normalised here")
            return replace(
                diagnostic,
                location=recording.span_of(operation),
                label="adds up to the same number whatever comes in",
                annotations=(normalised, *diagnostic.annotations),
            )
    return diagnostic


def _is_half(observation: Observation, evidence: Evidence, found: Finding) -> bool:
    """Whether the operation at which the gradient dies multiplies in float16, by what is not zero."""
    recording = observation.recording
    if any(_multiplies_by_zero(flow) for flow in _ends_at(evidence, found.diagnostic.location)):
        return False
    return any(
        recording.span_of(operation) == found.diagnostic.location
        and has(recording.name_of(operation), "multiplies", "divides", "scales")
        and any(recording.dtype_of(value) == "float16" for value in recording.outputs_of(operation))
        for operation in range(len(recording))
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


def _ends_at(evidence: Evidence, place: SourceSpan | None) -> list[NodeFlow]:
    recording = evidence.recording
    ends = [flow for flow in evidence.flows if flow.is_end and flow.operation >= 0]
    return [flow for flow in ends if recording.span_of(flow.operation) == place]


def _multiplies_by_zero(flow: NodeFlow) -> bool:
    return flow.facts.factor == 0.0 or bool(flow.facts.zero_operands)


def _gate(observation: Observation, question: Question, evidence: Evidence, place: SourceSpan | None) -> int | None:
    """The trainable tensor that is zero now and gets a gradient itself: what it closes opens when it has moved."""
    recording = evidence.recording
    for flow in _ends_at(evidence, place):
        inputs = recording.inputs_of(flow.operation)
        # what is added, as a bias is, closes nothing: where the node tells which factors are zero, it is one of them
        zeros = flow.facts.zero_operands or range(len(inputs))
        for value in (inputs[number] for number in zeros if number < len(inputs)):
            leaf = _leaf_behind(evidence, value)
            if (
                leaf == question.target
                or not recording.values.requires_grad[leaf]
                or recording.values.producer[leaf] >= 0
            ):
                continue
            if _moves(question.backward.arrived.get(leaf)):
                return leaf
    return None


def _leaf_behind(evidence: Evidence, value: int) -> int:
    """Through views and the like, which read one tensor and give as many numbers."""
    recording = evidence.recording
    while (producer := recording.values.producer[value]) >= 0:
        inputs = recording.inputs_of(producer)
        if len(inputs) != 1:
            break
        value = inputs[0]
    return value


def _starting_closed(observation: Observation, diagnostic: Diagnostic, gate: int) -> Diagnostic:
    name, _ = name_of_value(observation, gate)
    opens = (
        f"`{name}` is trainable and gets a gradient itself: once it has moved, gradients get through "
        "(LayerScale, ReZero and LoRA start like this on purpose)"
    )
    return replace(
        diagnostic,
        severity="warning",
        label=f"multiplied by `{name}`, which is zero so far",
        notes=(*diagnostic.notes, opens),
        helps=(Help(text=f"nothing to mend if `{name}` is meant to start at zero and an optimizer holds it"),),
    )
