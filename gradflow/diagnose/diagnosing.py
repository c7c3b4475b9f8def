"""All rules, in the order in which they are asked; each looks at the evidence alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.diagnose.doubts.unseen_output import has_unseen_output, why_unseen
from gradflow.diagnose.operation_place import at_attached
from gradflow.diagnose.rules.backward_error import backward_raised
from gradflow.diagnose.rules.custom_formula import custom_function_is_no_derivative
from gradflow.diagnose.rules.cut import cuts_of, path_is_cut
from gradflow.diagnose.rules.drawn_again import gradient_is_drawn_again
from gradflow.diagnose.rules.empty import layer_ran_on_nothing
from gradflow.diagnose.rules.forward_error import forward_refused
from gradflow.diagnose.rules.lost_in_backward import gradient_is_lost_in_backward
from gradflow.diagnose.rules.not_finite import gradient_is_not_finite
from gradflow.diagnose.rules.partial import some_ways_are_cut
from gradflow.diagnose.rules.position_not_read import position_is_not_read
from gradflow.diagnose.rules.replaced_by_a_copy import what_stands_in_is_cut
from gradflow.diagnose.rules.score_not_finite import score_is_not_finite
from gradflow.diagnose.rules.taken_by_hook import gradient_is_taken_by_hook
from gradflow.diagnose.rules.takes_no_part import layer_never_ran, output_is_discarded
from gradflow.diagnose.rules.unrecorded import nothing_requires_grad
from gradflow.diagnose.rules.wrong_derivative import gradient_is_verified
from gradflow.diagnose.rules.zero import gradient_is_zero
from gradflow.diagnose.verdict import verdict_of
from gradflow.graph.cut_group import NOT_RECORDED
from gradflow.graph.paths.out_of_nowhere import met_out_of_nowhere
from gradflow.probe.evidence import Evidence
from gradflow.probe.source_state import UNSEEN
from gradflow.recording.opaque import OPAQUE
from gradflow.source_place import place
from gradflow.torch_facts.operations.writing import written

__all__ = ["ALL_RULES", "NOTHING_FITS", "diagnose", "open_questions", "unexplained"]

Rule = Callable[[Evidence], tuple[Diagnostic, ...]]

ALL_RULES: tuple[Rule, ...] = (
    forward_refused,
    backward_raised,
    layer_never_ran,
    nothing_requires_grad,
    path_is_cut,
    gradient_is_lost_in_backward,
    output_is_discarded,
    gradient_is_not_finite,
    score_is_not_finite,
    position_is_not_read,
    layer_ran_on_nothing,
    gradient_is_taken_by_hook,
    what_stands_in_is_cut,
    gradient_is_zero,
    custom_function_is_no_derivative,
    some_ways_are_cut,
    gradient_is_drawn_again,
    gradient_is_verified,
)

_OF_THE_WHOLE_GRADIENT = (
    path_is_cut,
    gradient_is_lost_in_backward,
    output_is_discarded,
    position_is_not_read,
    what_stands_in_is_cut,
    gradient_is_zero,
    gradient_is_verified,
)
"""Rules whose finding rests on what did not arrive: where only a part of a gradient is seen, that shows nothing."""

NOTHING_FITS = "none of the causes that gradflow knows fits"
"""The last reason: said where no other one is known."""

_RANK = {"error": 0, "warning": 1, "info": 2}


def diagnose(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """What all rules find, errors first; within a severity in the order of the rules, the root cause first."""
    found: list[Diagnostic] = []
    for rule in ALL_RULES:
        if evidence.is_partly_seen and rule in _OF_THE_WHOLE_GRADIENT:
            continue
        for diagnostic in (at_attached(one, evidence.registered_at) for one in rule(evidence)):
            if all((d.name, d.location) != (diagnostic.name, diagnostic.location) for d in found):
                found.append(diagnostic)
    return tuple(sorted(found, key=lambda diagnostic: _RANK[diagnostic.severity]))


def unexplained(evidence: Evidence, diagnostics: Sequence[Diagnostic]) -> tuple[str, ...]:
    """What could not be found out about a gradient that is not right, where no rule explains it."""
    return tuple(f"{question}, because {reason}" for question, reason in open_questions(evidence, diagnostics))


def open_questions(evidence: Evidence, diagnostics: Sequence[Diagnostic]) -> tuple[tuple[str, str], ...]:
    """The same as pairs of what is not known and why: a clause that stands by itself."""
    verdict = verdict_of(evidence)
    influence = evidence.influence
    if influence is not None and influence.matters is None:
        return ((f"whether {evidence.score} depends on `{evidence.target}`", influence.reason),)
    if verdict == "not determined" and has_unseen_output(evidence):
        return ((f"whether {evidence.score} depends on `{evidence.target}`", why_unseen(evidence)),)
    if evidence.is_inside_compiled and evidence.not_called is not None:
        outer = evidence.not_called.subject
        inside = f"inside `{outer}`, a program of TorchScript" if outer else "inside TorchScript"
        reason = f"it is {inside}, and what runs there is not recorded"
        return ((f"whether {evidence.score} depends on `{evidence.target}`", reason),)
    if verdict in ("broken", "not determined") and evidence.source.cause == UNSEEN and not evidence.source.recorded:
        return ((f"why no gradient is recorded at `{evidence.target}`", _lost_unseen(evidence)),)
    unseen = _cut_unseen(evidence)
    if verdict == "broken" and unseen:
        return unseen
    if verdict == "connected" or any(diagnostic.severity != "info" for diagnostic in diagnostics):
        return ()
    if verdict == "not determined" and (evidence.undetermined or evidence.unfollowed or evidence.unrecorded):
        return ()  # said already
    if verdict == "broken" and not evidence.dependence.score_depends:
        return (("which line cuts the path", _from_nowhere(evidence)),)
    if verdict == "broken":
        return (("which step loses the gradient", "every step that was recorded can pass it on"),)
    return ((f"why the gradient is {verdict}", NOTHING_FITS),)


def _cut_unseen(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    if evidence.entered:
        return (("which line cuts the path", _from_outside(evidence)),)
    lost = [group.operation for group in cuts_of(evidence) if group.cause == NOT_RECORDED]
    return tuple(_why_not(evidence, operation) for operation in lost)


_UNSEEN = "TorchScript, a transform of torch, compiled code, another thread, or a class such as `torch.FloatTensor`"


def _from_nowhere(evidence: Evidence) -> str:
    """Why it is not known which line cuts: the first operation that reads what no recorded one made, if any does."""
    found = met_out_of_nowhere(evidence.recording)
    if not found:
        return f"no recorded operation brings the value back: it may run where gradflow cannot look ({_UNSEEN})"
    operation, _ = found[0]
    span = evidence.recording.span_of(operation)
    where = f" at {place(span)}" if span is not None else ""
    name = written(evidence.recording.name_of(operation))
    others = f", the first of {len(found)} that do," if len(found) > 1 else ""
    return (
        f"`{name}`{where}{others} reads a tensor that no recorded operation made: it comes from where gradflow cannot "
        f"look ({_UNSEEN})"
    )


def _from_outside(evidence: Evidence) -> str:
    span = evidence.recording.span_of(evidence.entered[0])
    where = f"at {place(span)}" if span is not None else "inside a library"
    return (
        f"a value that follows `{evidence.target}` comes in {where} from where gradflow cannot look ({_UNSEEN}); all "
        "that was recorded leads over a choice, which no gradient goes through"
    )


def _lost_unseen(evidence: Evidence) -> str:
    left = evidence.source.left
    if left < 0:
        return f"what it is made of comes from where gradflow cannot look ({_UNSEEN})"
    name, span = written(evidence.recording.name_of(left)), evidence.recording.span_of(left)
    where = f" at {place(span)}" if span is not None else ""
    before = f"values computed from what requires grad had left torch before, last by `{name}`{where}"
    return f"it is made of numbers, and {before}"


def _why_not(evidence: Evidence, operation: int) -> tuple[str, str]:
    name, span = written(evidence.recording.name_of(operation)), evidence.recording.span_of(operation)
    where = f" at {place(span)}" if span is not None else ""
    if name in OPAQUE:
        lost = f"what takes `{evidence.target}` out of the graph of {evidence.score}"
        return lost, f"it happens inside the {OPAQUE[name]} that runs{where}, which is not looked into"
    return (
        f"why `{name}`{where} gives a result without history",
        f"what `{name}` reads required grad when it was first seen, and could pass no gradient when this ran",
    )
