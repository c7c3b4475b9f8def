"""GF301, GF208, GF302: the target never ran, or what it gave was not used."""

from __future__ import annotations

from collections.abc import Iterable

from gradflow.diagnose.cause_texts import NOT_REPLACED, SEE_WHY
from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help
from gradflow.diagnose.doubts.unseen_output import has_unseen_output
from gradflow.diagnose.no_part.ended import OTHER_OUTPUT, Ended, ended_by_raising, ended_in_the_output
from gradflow.diagnose.verdict import may_depend_unseen
from gradflow.location import SourceSpan, is_installed
from gradflow.probe.evidence import Evidence
from gradflow.probe.left_out import find_left_out
from gradflow.probe.never_ran.raised import call_that_raised, raised_before
from gradflow.probe.overwritten import find_overwrite
from gradflow.probe.targets.last_use import last_use
from gradflow.recording import ModuleCall, Recording
from gradflow.source.returned import kept_at
from gradflow.source_place import place

__all__ = ["layer_never_ran", "output_is_discarded"]


def layer_never_ran(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """The layer's ``forward`` was not executed for this input, mode and configuration."""
    if evidence.may_be_kept:
        return (_not_in_this_run(evidence),)
    if evidence.call_count or evidence.unrecorded or has_unseen_output(evidence):
        return ()
    found = evidence.not_called
    if evidence.left_out_by:
        return (_left_out_this_time(evidence),)
    raised = raised_before(evidence.recording, evidence.target)
    if raised is not None:
        ended = ended_by_raising(evidence.recording, raised)
        return (
            Diagnostic(
                code=code_of("layer-not-called"),
                name="layer-not-called",
                severity="error",
                message=f"`{evidence.target}` never ran, so there is no activation and no gradient",
                location=ended.span,
                label=ended.label,
                module=evidence.module,
                notes=(ended.note,),
                helps=(Help(text=ended.help),),
                hides=(evidence.target,),
            ),
        )
    if found is None:
        return (
            Diagnostic(
                code=code_of("layer-not-called"),
                name="layer-not-called",
                severity="error",
                message=f"`{evidence.target}` never ran, so there is no activation and no gradient",
                location=evidence.registered_at.get(evidence.target),
                module=evidence.module,
                notes=("why it did not run is not determined, because its source code could not be read",),
                hides=(evidence.target,),
            ),
        )
    messages = {
        "functional-bypass": f"`{evidence.target}` is never called: its weights or settings are used without it",
        "compiled-hooks": f"`{evidence.target}` cannot be seen: it is inside compiled code, where no hook fires",
    }
    message = messages.get(found.kind, f"`{evidence.target}` never ran, so there is no activation and no gradient")
    return (
        Diagnostic(
            code=code_of(found.kind),
            name=found.kind,
            severity="error",
            message=message,
            location=found.location,
            label=found.label,
            module=evidence.module,
            notes=(found.note,) if found.note else (),
            helps=(Help(text=found.help),) if found.help else (),
            hides=(evidence.target,),
        ),
    )


def _not_in_this_run(evidence: Evidence) -> Diagnostic:
    """What kept it out of this run says nothing about what it gave in an earlier one."""
    found = evidence.not_called
    return Diagnostic(
        code=code_of("layer-not-called"),
        name="layer-not-called",
        severity="info",
        message=f"`{evidence.target}` did not run in this run, so there is no activation and no gradient",
        location=found.location if found is not None else evidence.registered_at.get(evidence.target),
        label=found.label.replace("it never ran", "it did not run") if found is not None else "",
        module=evidence.module,
        notes=(found.note,) if found is not None and found.note else (),
        helps=(Help(text=found.help),) if found is not None and found.help else (),
        hides=(evidence.target,),
    )


_LEFT_OUT_BY = {
    "draw": (
        "did not run this time",
        "a random draw left it out this time, as layer drop does",
        "tried: it runs when other random numbers are drawn",
        "ask again with another seed, so that the draw takes it",
    ),
    "values": (
        "did not run for this input",
        "the values of this input left it out",
        "tried: it runs for other values of the input",
        "ask again with an input for which it runs",
    ),
}
"""What is said of a layer that further runs call: what it did, why, what was tried, and how to ask of it."""


def _left_out_this_time(evidence: Evidence) -> Diagnostic:
    found = evidence.not_called
    is_seen = found is not None and found.is_called_somewhere
    did, why, tried, help_text = _LEFT_OUT_BY[evidence.left_out_by]
    return Diagnostic(
        code=code_of("layer-not-called"),
        name="layer-not-called",
        severity="info",
        message=f"`{evidence.target}` {did}, so there is no activation and no gradient",
        location=found.location if found is not None else evidence.registered_at.get(evidence.target),
        label=found.label if found is not None and is_seen else "",
        module=evidence.module,
        notes=(why, tried),
        helps=(Help(text=help_text),),
        hides=(evidence.target,),
    )


def output_is_discarded(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """The target ran, but the score does not depend on what it gave."""
    matters = evidence.influence is not None and evidence.influence.matters is not False
    if (
        not evidence.call_count
        or evidence.backward_error is not None
        or evidence.forward_failure is not None
        or any(measured.arrived for measured in evidence.measured)
        or evidence.dependence.score_depends
        or matters
        or may_depend_unseen(evidence)
        or has_unseen_output(evidence)
    ):
        return ()
    ending = _where_it_would_begin(evidence) or _where_it_ends(evidence)
    notes = [ending.note]
    if evidence.influence is not None and evidence.influence.matters is False:
        notes.append(
            f"tried: with the values of `{evidence.target}` moved far away, {evidence.score} stays exactly the same"
        )
        read_at = [span for row in evidence.dependence.exits if (span := evidence.recording.span_of(row)) is not None]
        if read_at:
            notes.append(
                f"Python reads its values at {place(read_at[0])}; they were moved by up to 1e30 times their spread, up "
                "and down, and a decision between the distances that were tried would not show"
            )
    what = "value" if evidence.kind != "layer" else "output"
    reason = f"its {what} is not used" + (" in this run" if evidence.unrun_read is not None else "")
    if ending.label == OTHER_OUTPUT:
        reason = "the score is made from another output of the model"
    return (
        Diagnostic(
            code=code_of("output-discarded"),
            name="output-discarded",
            severity="error",
            message=f"{evidence.score} does not depend on `{evidence.target}`: {reason}",
            location=ending.span,
            label=ending.label,
            annotations=ending.annotations,
            module=evidence.module,
            notes=tuple(notes),
            helps=(Help(text=ending.help),),
            hides=(evidence.target,),
        ),
    )


def _where_it_would_begin(evidence: Evidence) -> Ended | None:
    """Where a parameter that no operation read would be read."""
    raised = raised_before(evidence.recording, evidence.target)
    if evidence.replaced is not None:
        return Ended(
            span=evidence.replaced.made_at,
            label="what is made here took its place in this run",
            note=f"another tensor stood in the place of `{evidence.target}` when the run ended, and no operation that "
            "ran reads the one that was there before",
            help=NOT_REPLACED,
        )
    if evidence.unrun_read is None:
        return None
    if raised is not None:
        return ended_by_raising(evidence.recording, raised)
    return Ended(
        span=evidence.unrun_read,
        label="reads it, and did not run",
        note=f"no operation that ran reads `{evidence.target}`",
        help=SEE_WHY,
    )


def _where_it_ends(evidence: Evidence) -> Ended:
    recording, dependence = evidence.recording, evidence.dependence
    sources = set(recording.layer_values.get(evidence.target, ()))
    last = last_use(recording, dependence)
    values = set(recording.outputs_of(last)) if last >= 0 else sources
    raised = call_that_raised(recording, last)
    if raised is not None:
        return ended_by_raising(recording, raised)
    root = _outermost(recording, sources)
    returned = (
        root is not None
        and any(dependence.depends[v] for v in root.outputs)
        # the score may have been made from another forward
        and any(dependence.reaches[v] for v in root.outputs)
    )
    if returned and root is not None:
        return ended_in_the_output(evidence, root)
    handed_out = values | sources
    # the outermost call that hands the data out although nobody takes it
    for call in recording.calls:
        if call.parent >= 0 and not handed_out.isdisjoint(call.outputs) and call.end_operation > last:
            span = recording.site_span(call.site)
            lost = _lost(evidence, recording.spans_from(call.site, call.first_operation))
            if lost is not None:
                return lost
            kept = "" if call.module == evidence.module else f", with {evidence.what_it_gives} in it"
            note = f"nothing after this line reads what `{call.module}` returns{kept}"
            return Ended(
                span=span,
                label="its result is not used from here on",
                note=note,
                help=f"use the result, or ask for {_one_that_counts(evidence)}",
            )
    site, moment = (recording.operations.site[last], last) if last >= 0 else (-1, 0)
    if site < 0:
        calls = recording.calls_by_module.get(evidence.target, ())
        site, moment = (calls[-1].site, calls[-1].first_operation) if calls else (-1, 0)
    lost = _lost(evidence, recording.spans_from(site, moment))
    return lost or _dropped(evidence, tuple(kept_at(recording.spans_from(site, moment))))


def _lost(evidence: Evidence, spans: Iterable[SourceSpan]) -> Ended | None:
    """Where what is computed at the first place is lost: it may be kept there, or by a function that called for it."""
    for span in kept_at(spans):
        found = _overwritten(evidence, span) or _left_out(evidence, span)
        if found is not None:
            return found
    return None


def _dropped(evidence: Evidence, places: tuple[SourceSpan, ...]) -> Ended:
    """The last of the places to which functions hand back what is computed at the first."""
    advice = f"use the result, or ask for {_one_that_counts(evidence)}"
    if len(places) < 2:
        return Ended(
            span=places[0] if places else None,
            label="the last operation that uses it; its result goes nowhere",
            note=f"the data of this {evidence.kind} ends here: no operation on the way to the score reads the result",
            help=advice,
        )
    return Ended(
        span=places[-1],
        label="its result is not used from here on",
        note="no operation on the way to the score reads what is computed in this line",
        help=advice,
        annotations=(Annotation(span=places[0], label=f"the last operation that uses {evidence.what_it_gives}"),),
    )


def _one_that_counts(evidence: Evidence) -> str:
    if evidence.kind == "layer":
        return "a layer whose output the score depends on"
    return "a parameter that the score depends on"


def _outermost(recording: Recording, sources: set[int]) -> ModuleCall | None:
    """The forward pass that the target belongs to."""
    call = next((call for call in recording.calls if sources & set(call.outputs)), None)
    while call is not None and call.parent >= 0:
        call = recording.calls[call.parent]
    return call or (recording.calls[0] if recording.calls else None)


def _overwritten(evidence: Evidence, span: SourceSpan) -> Ended | None:
    again = find_overwrite(span, evidence.recording.executed_lines)
    if again is None:
        return None
    what, reader = ("attribute", "operation") if again.is_attribute else ("variable", "code")
    return Ended(
        span=again.span,
        label=f"the {what} is set again here, and what it held is lost",
        note=f"no {reader} reads the {what} between line {span.line}, which sets it, and this line",
        help="use the result of the first line here, or give the two results two names",
        annotations=(Annotation(span=span, label=f"made from {evidence.what_it_gives}, never read"),),
    )


def _left_out(evidence: Evidence, span: SourceSpan) -> Ended | None:
    files = dict.fromkeys(each.path for each in evidence.recording.spans if not is_installed(each.path))
    found = find_left_out(span, tuple(files))
    if found is None:
        return None
    entry = f"`{found.container}[{found.entry}]`" if found.entry else "the entry with this layer's output"
    held = Annotation(span=span, label=f"holds {evidence.what_it_gives}")
    return Ended(
        span=found.span,
        label=f"chooses which entries of `{found.container}` are read, and leaves this one out",
        note=f"{entry} is never read, only other entries of `{found.container}` are",
        help=f"choose {entry}, too, or ask for a layer whose output is read",
        annotations=() if found.span == span else (held,),
    )
