"""Findings about a group of parameters: what the rules say of one of them, told once for all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gradflow.diagnose.cause_texts import NOT_REPLACED, SEE_WHY
from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnosing import diagnose
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help, Severity
from gradflow.diagnose.groups.freezing import if_not_meant
from gradflow.diagnose.no_part.ended import OTHER_OUTPUT
from gradflow.diagnose.operation_place import at_attached
from gradflow.diagnose.random_zero import DRAWN_ZERO
from gradflow.diagnose.rules.custom_formula import custom_function_is_no_derivative
from gradflow.diagnose.rules.lost_in_backward import NO_GRADIENT_FOR_IT
from gradflow.diagnose.rules.partial import some_ways_are_cut
from gradflow.diagnose.values.thrown_away import OF_OTHER_VALUES, THROWN_AWAY
from gradflow.diagnose.values.zero_start import as_long_as, once_moved
from gradflow.diagnose.zero_causes import CANCELLED, NOTHING_GOES_ON, WAYS_CANCEL
from gradflow.location import SourceSpan, is_machinery
from gradflow.probe.audit_evidence import GroupCause, ParameterGroup
from gradflow.probe.evidence import Evidence
from gradflow.probe.never_ran.raised import call_that_raised
from gradflow.probe.targets.last_use import last_use

__all__ = [
    "common_module",
    "counted",
    "explain_formulas",
    "explain_group",
    "explain_incomplete",
    "never_read",
    "placed",
]

# a zero gradient from these does not depend on the input at hand: such a parameter never learns
_ALWAYS_ZERO = frozenset({"zero-derivative-op", "constant-score", "precision-underflow", "custom-function"})


_MOST_NAMED = 4


def explain_group(
    group: ParameterGroup, evidence: Evidence, trainable: Collection[str], *, zero_factors: Sequence[str] = ()
) -> tuple[Diagnostic, ...]:
    """What keeps the gradient from a group, from the evidence about its subject.

    Parameters
    ----------
    group, evidence
        The group, and what the experiments found out about ``group.subject``.
    trainable
        All parameters that could learn.
    zero_factors
        Parameters that start at zero and get a gradient themselves; once they have moved, the group gets one too.
    """
    told = diagnose(evidence)
    # that a gradient is zero is told also where it is not known of what
    found = [one for one in told if one.severity == "error"] or [one for one in told if group.kind == "zero"]
    zero = "that is only rounding error" if evidence.is_cancelled else "of exactly zero"
    return tuple(_for_all(group, one, trainable, zero_factors, evidence, zero) for one in found)


def _for_all(
    group: ParameterGroup,
    found: Diagnostic,
    trainable: Collection[str],
    zero_factors: Sequence[str],
    evidence: Evidence,
    zero: str,
) -> Diagnostic:
    total, starts = len(trainable), evidence.zero_starts
    recording, dependence = evidence.recording, evidence.dependence
    severity: Severity = "error"
    notes, helps = found.notes, found.helps
    if group.kind == "error":
        message = found.message.replace(
            f"no gradient reaches `{group.subject}`",
            f"{counted(len(group.members), total)} {_verb(group, 'get')} no gradient",
        )
    elif group.kind == "zero":
        message = f"{counted(len(group.members), total)} {_verb(group, 'get')} a gradient {zero}"
        if zero_factors:
            return _behind_zero(group, found, total, zero_factors)
        reason = as_long_as(starts) if starts else _reason(found)
        message += f", {reason}" if reason else ""
        is_always = found.name in _ALWAYS_ZERO or any(
            flow.unread and flow.unread.other_inputs for flow in evidence.flows
        )
        # rounding error of which nothing is known to be the cause may be that at this input only
        is_unplaced = evidence.is_cancelled and not found.label
        if not is_always or found.label in (CANCELLED, WAYS_CANCEL, NOTHING_GOES_ON) or is_unplaced:
            severity = "info" if found.label == DRAWN_ZERO else "warning"
    elif group.kind == "not finite":
        message = f"the gradient of {counted(len(group.members), total)} is not finite{_tail(found.message)}"
    else:
        message = f"{counted(len(group.members), total)} {_verb(group, 'get')} no gradient: {_why(group, found)}"
        if found.name == "output-discarded" and call_that_raised(recording, last_use(recording, dependence)) is None:
            helps = (Help(text="use the result, or remove what computes it"),)
        helps = (*helps, *if_not_meant(group.members, trainable))
    return replace(
        found,
        severity=severity,
        message=message,
        notes=notes,
        helps=helps,
        hides=group.members,
        path=found.path if severity == "error" else (),
    )


def _behind_zero(group: ParameterGroup, found: Diagnostic, total: int, starts: Sequence[str]) -> Diagnostic:
    """No fault as long as they learn themselves: after their first step a gradient arrives at the group."""
    they_have = "they have" if len(starts) > 1 else "it has"
    return replace(
        found,
        severity="info",
        message=f"{counted(len(group.members), total)} {_verb(group, 'get')} a gradient of exactly zero, "
        f"{as_long_as(starts)}",
        notes=(f"tried: {once_moved(starts)}, {_all_of(group)} a gradient, so {they_have} to learn first",),
        hides=group.members,
        path=(),
    )


def _all_of(group: ParameterGroup) -> str:
    return "it gets" if len(group.members) == 1 else f"all {len(group.members)} get"


def explain_incomplete(evidence: Evidence, members: Sequence[str], total: int) -> tuple[Diagnostic, ...]:
    """A cut on some of the ways by which a gradient should come: it arrives, but is not the true derivative."""
    whose = f"the gradient of {counted(len(members), total)}"
    return tuple(
        replace(
            found,
            message=found.message
            if found.severity != "error"
            else f"{whose} {OF_OTHER_VALUES}"
            if found.label == THROWN_AWAY
            else f"{whose} is incomplete: one way from the loss is cut",
            hides=tuple(members) if found.severity == "error" else (),
        )
        for found in some_ways_are_cut(evidence)
    )


def explain_formulas(evidence: Evidence, members: Sequence[str], total: int) -> tuple[Diagnostic, ...]:
    """A custom Function whose backward is not the derivative, with all the parameters that get its gradient."""
    whose = f"the gradient of {counted(len(members), total)}"
    return tuple(
        replace(
            found,
            message=found.message.replace(f"the gradient at `{evidence.target}`", whose, 1),
            hides=tuple(members) if evidence.target in found.hides else (),
        )
        for found in custom_function_is_no_derivative(evidence)
    )


def counted(count: int, total: int) -> str:
    """``4 of 62 parameters``, ``all 62 parameters``."""
    if count == total:
        return f"all {total} parameters" if total > 1 else "the only parameter"
    return f"{count} of {total} parameters"


def _verb(group: ParameterGroup, verb: str) -> str:
    return f"{verb}s" if len(group.members) == 1 else verb


def _why(group: ParameterGroup, found: Diagnostic) -> str:
    if group.kind == "module not called":
        if found.name == "functional-bypass":
            are, their = ("are", "their") if group.alike else ("is", "its")
            them = "them" if group.alike else "it"
            return f"{_subjects(group)} {are} never called, {their} settings are used without {them}"
        if found.name == "compiled-hooks":
            return f"why is not seen, because {_subjects(group)} {'are' if group.alike else 'is'} inside compiled code"
        return f"{_subjects(group)} never ran"
    if found.label == OTHER_OUTPUT:
        return "the loss is made from another output"
    if found.name == "output-discarded":
        return "what they compute is not used" if len(group.members) > 1 else "what it computes is not used"
    if found.code.startswith("GF1") and found.label != NO_GRADIENT_FOR_IT:
        return f"path cut by `{found.name}`"
    return found.message.partition(": ")[2] or found.message


def _subjects(group: ParameterGroup) -> str:
    r"""The modules of which the finding speaks: ``\`ex.0\`, \`ex.1\` and 2 more``."""
    names = [f"`{name}`" for name in (group.subject, *group.alike)]
    if len(names) > _MOST_NAMED:
        names = [*names[: _MOST_NAMED - 1], f"{len(names) - _MOST_NAMED + 1} more"]
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _reason(found: Diagnostic) -> str:
    """What a rule says after the colon: ``it dies at `relu```."""
    return found.message.partition(": ")[2]


def _tail(message: str) -> str:
    reason = message.partition(": ")[2]
    return f": {reason}" if reason else ""


def common_module(names: Sequence[str]) -> str:
    """The innermost module that all the parameters are in; empty for the model itself."""
    paths = [name.split(".")[:-1] for name in names]
    shared: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)


def never_read(cause: GroupCause, total: int) -> Diagnostic:
    """The module that owns the parameters ran, but no operation read them."""
    group, assigned_at, unrun, replaced = cause.group, cause.assigned_at, cause.unrun_read, cause.replaced
    names = ", ".join(f"`{name}`" for name in group.members[:4])
    more = f" and {len(group.members) - 4} more" if len(group.members) > 4 else ""
    they = "it" if len(group.members) == 1 else "them"
    note = f"`{cause.owner_type}` ran, and nothing that was recorded read {names}{more}"
    if replaced is not None:
        note = f"`{cause.owner_type}` ran, and nothing that was recorded read what was in {names}{more} before the run"
        puts = "puts another in its place" if len(group.members) == 1 else "puts others in their place"
        return _not_read(
            cause,
            total,
            f"the run {puts}, and no operation reads the former",
            location=replaced.made_at,
            label="what is made here takes the place of a parameter" if replaced.made_at is not None else "",
            notes=(note,),
            helps=(Help(text=NOT_REPLACED),),
        )
    return _not_read(
        cause,
        total,
        f"no operation reads {they}",
        location=assigned_at,
        label="assigned here, but not used when the model runs" if assigned_at is not None else "",
        annotations=(Annotation(span=unrun, label=f"reads `{group.subject}`, and did not run"),) if unrun else (),
        notes=(note,),
        helps=(Help(text=SEE_WHY if unrun else f"use {they} in `forward`, or remove {they}"),),
    )


def _not_read(cause: GroupCause, total: int, why: str, **told: Any) -> Diagnostic:
    group = cause.group
    return Diagnostic(
        code=code_of("layer-not-called"),
        name="layer-not-called",
        severity="error",
        message=f"{counted(len(group.members), total)} {_verb(group, 'get')} no gradient: {why}",
        module=common_module(group.members),
        hides=group.members,
        **told,
    )


def placed(found: Diagnostic, registered_at: Mapping[str, SourceSpan]) -> Diagnostic:
    """The finding at a line that a person can look at, and without one where there is none: not inside torch."""
    found = at_attached(found, registered_at)
    if found.location is None or not is_machinery(found.location.path):
        return found
    return replace(found, location=None, label="", annotations=(), notes=(found.label, *found.notes))
