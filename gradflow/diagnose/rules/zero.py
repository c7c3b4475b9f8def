"""GF303, GF402 to GF406, GF111: a path exists, and the gradient that comes along it is zero."""

from __future__ import annotations

from dataclasses import replace

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.diagnose.empty_result import empty_result
from gradflow.diagnose.flat_origin import flat_origin
from gradflow.diagnose.narrowest_read import narrowest_read
from gradflow.diagnose.operation_place import operation_place
from gradflow.diagnose.random_zero import tried_with_other_draws
from gradflow.diagnose.score_path import score_path
from gradflow.diagnose.values.rest_of_target import is_rest_alive
from gradflow.diagnose.values.stand_ins import cuts_behind_end
from gradflow.diagnose.values.unread import said_of_others
from gradflow.diagnose.values.zero_start import as_long_as, label_of, once_moved, way_out
from gradflow.diagnose.verdict import verdict_of
from gradflow.diagnose.zero_causes import NOTHING_GOES_ON, clamped_to_zero, explain_end
from gradflow.location import SourceSpan
from gradflow.probe.evidence import Evidence
from gradflow.recording.gradients import NodeFlow
from gradflow.torch_facts.operations.queries import has
from gradflow.torch_facts.operations.writing import written

__all__ = ["gradient_is_zero"]

_MOST = 4
"""So many ends are told; whoever mends these sees the next."""


def gradient_is_zero(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """The operations that a gradient reached and at which it ended, nearest to the score first.

    Without those behind which the score reads what was computed from the target by a way that is cut.
    """
    if verdict_of(evidence) != "zero" or empty_result(evidence) >= 0 or evidence.taking_hooks:
        return ()
    if evidence.slice and is_rest_alive(evidence):
        return ()
    if evidence.absorbed_at >= 0:
        return (_absorbed(evidence),)
    ends = [flow for flow in evidence.flows if flow.is_end]
    if evidence.zero_starts and ends:
        # moving them alone lets the gradient arrive: whatever else it ends at is not in its way
        return (_behind_zero(evidence, ends[0]),)
    found: dict[tuple[str, SourceSpan | None], Diagnostic] = {}
    own = [flow for flow in ends if not cuts_behind_end(evidence, flow)]
    if ends and not own:
        return ()
    for flow in own:
        diagnostic = _at(evidence, flow)
        told = found.setdefault((diagnostic.name, diagnostic.location), diagnostic)
        if told.module != diagnostic.module:
            # one line of a class that the model holds twice: it ends in both
            found[diagnostic.name, diagnostic.location] = replace(told, module="")
    # that some positions are not read (other rows of the batch) is as it should be where the gradient ends elsewhere
    elsewhere = [diagnostic for diagnostic in found.values() if diagnostic.name != "position-not-read"]
    # of an operation of many parts, such as an LSTM, the part that is understood is told
    known = {diagnostic.location for diagnostic in elsewhere if diagnostic.label != NOTHING_GOES_ON}
    elsewhere = [one for one in elsewhere if one.label != NOTHING_GOES_ON or one.location not in known]
    return tuple(elsewhere or found.values())[:_MOST] or (_unexplained(evidence),)


def _at(evidence: Evidence, flow: NodeFlow) -> Diagnostic:
    recording = evidence.recording
    origin = flat_origin(evidence, flow)
    cause = explain_end(evidence, flow)
    name = written(recording.name_of(flow.operation)) if flow.operation >= 0 else flow.name
    dies_at = cause.instead or f"it dies at `{name}`"
    location, annotations = operation_place(evidence, flow.operation)
    if origin >= 0:
        cause = clamped_to_zero(recording.name_of(origin), recording.name_of(flow.operation))
        dies_at += f", which multiplies it by the zeros of `{written(recording.name_of(origin))}`"
        location, annotations = operation_place(evidence, origin)
    read = narrowest_read(evidence, after=flow.operation) if cause.name == "position-not-read" else -1
    if read >= 0 and not has(recording.name_of(flow.operation), "replaces"):
        location, annotations = operation_place(evidence, read)
        reader = written(recording.name_of(read))
        dies_at = f"`{reader}` hands on other positions"
        if not cause.is_shown:
            note = f"`{reader}` hands on other positions than those that come from `{evidence.target}`"
            cause = replace(cause, note=note)
    if cause.name == "custom-function" and flow.backward_span is not None:
        annotations = (Annotation(span=location, label="applied here"),) if location is not None else ()
        location = flow.backward_span
    if flow.is_sum:
        passed = "but the ways by which it goes on cancel each other"
    else:
        passed = "only rounding error goes on" if flow.cancels and not flow.dies else "exactly zero goes on"
    return Diagnostic(
        code=code_of(cause.name),
        name=cause.name,
        severity="error",
        message=f"the gradient at `{evidence.target}` is zero: {dies_at}",
        location=location,
        label=cause.label,
        annotations=annotations,
        module=recording.module_of(flow.operation) if flow.operation >= 0 else "",
        path=score_path(evidence),
        notes=tuple(
            note
            for note in (
                cause.note,
                f"measured: {flow.incoming:.3g} (largest entry) comes in from the score, {passed}",
                tried_with_other_draws(flow),
                said_of_others(flow.unread) if cause.is_shown else "",
            )
            if note
        ),
        helps=tuple(Help(text=text) for text in cause.helps),
        hides=(evidence.target,),
    )


def _behind_zero(evidence: Evidence, flow: NodeFlow) -> Diagnostic:
    """It would arrive, were it not for parameters that start at zero."""
    starts = evidence.zero_starts
    first = flow.zero_parameter if flow.zero_parameter in starts else starts[0]
    starts = (first, *(name for name in starts if name != first))
    location, annotations = operation_place(evidence, flow.operation)
    return Diagnostic(
        code=code_of("zero-multiplier"),
        name="zero-multiplier",
        severity="error",
        message=f"the gradient at `{evidence.target}` is zero, {as_long_as(starts)}",
        location=location,
        label=label_of(first, is_the_factor=first == flow.zero_parameter),
        annotations=annotations,
        module=evidence.recording.module_of(flow.operation) if flow.operation >= 0 else "",
        path=score_path(evidence),
        notes=(
            f"tried: {once_moved(starts)}, a gradient arrives",
            f"measured: {flow.incoming:.3g} (largest entry) comes in from the score, exactly zero goes on",
        ),
        helps=(Help(text=way_out(first)),),
        hides=(evidence.target,),
    )


def _absorbed(evidence: Evidence) -> Diagnostic:
    recording, operation = evidence.recording, evidence.absorbed_at
    shown = f"`{written(recording.name_of(operation))}`"
    location, annotations = operation_place(evidence, operation)
    largest = max((measured.max_abs or 0.0 for measured in evidence.measured if measured.arrived), default=0.0)
    is_bias = evidence.kind == "parameter" and evidence.target.rpartition(".")[2] == "bias"
    return Diagnostic(
        code=code_of("constant-score"),
        name="constant-score",
        severity="error",
        message=f"the gradient at `{evidence.target}` is zero but for rounding: {shown} takes out what it changes",
        location=location,
        label="gives the same, however the values that come in are moved",
        annotations=annotations,
        module=recording.module_of(operation),
        path=score_path(evidence),
        notes=(
            f"tried: with `{evidence.target}` moved, what goes into {shown} changes and what comes out does not",
            f"measured: the largest entry, {largest:.2g} in float32, all but vanishes in float64",
        ),
        helps=(
            Help(
                text="leave the bias out (`bias=False`): nothing can be learned by it here"
                if is_bias
                else f"make the score from values before {shown}, or use what it takes out in another way, too"
            ),
        ),
        hides=(evidence.target,),
    )


def _unexplained(evidence: Evidence) -> Diagnostic:
    count = sum(measured.entry_count for measured in evidence.measured if measured.arrived)
    name = "constant-score" if evidence.is_cancelled else "zero-multiplier"
    zero = "only rounding error" if evidence.is_cancelled else "exactly zero"
    return Diagnostic(
        code=code_of(name),
        name=name,
        severity="warning",
        message=f"the gradient at `{evidence.target}` is {zero} in all {count:,} entries",
        module=evidence.module,
        path=score_path(evidence),
        notes=("the operation at which it becomes zero is not determined",),
        helps=(Help(text="try another input: a gradient can be zero at one input and not at others"),),
        hides=(evidence.target,),
    )
