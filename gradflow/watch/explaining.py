"""From what was observed to what is said: asks all rules, ranks what they find, and makes the report."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib import metadata
from typing import Literal

import gradflow
from gradflow.diagnose.own_line import at_own_line
from gradflow.diagnose.source_lines import with_source
from gradflow.diagnose.verdict import Verdict
from gradflow.graph.flow_graph import FlowGraph
from gradflow.printable import inert, printable
from gradflow.report import NO_TARGET, Environment, GradientStatistics, Report, Score, Target
from gradflow.watch.facts.claims import is_wanted, weight_of_exception
from gradflow.watch.facts.doubts.completeness import doubt_about, doubt_about_flag
from gradflow.watch.facts.doubts.inside import doubt_about_inside
from gradflow.watch.facts.evidence import evidence_for
from gradflow.watch.facts.naming.model_names import with_models_told_apart
from gradflow.watch.facts.naming.names import name_of_value, score_text
from gradflow.watch.facts.questions import Question, each_kind_in_turn, questions_in, questions_left_out
from gradflow.watch.facts.seen import shows_gradients, what_is_lacking, what_was_seen
from gradflow.watch.facts.watched import not_watched, watched_text
from gradflow.watch.finding import Finding, as_remark, as_warning
from gradflow.watch.observation import Observation
from gradflow.watch.picture import draw_question, with_own_path
from gradflow.watch.rules.answered import a_gradient_came
from gradflow.watch.rules.backward.raised import backward_raised_somehow
from gradflow.watch.rules.backward.score_not_finite import score_is_not_finite
from gradflow.watch.rules.backward_raised import backward_raised
from gradflow.watch.rules.captured import captured_tensor_is_another
from gradflow.watch.rules.failures import program_failed
from gradflow.watch.rules.handed_nothing import hook_is_handed_nothing
from gradflow.watch.rules.hook_positions import hook_takes_zeros
from gradflow.watch.rules.hook_use import hook_never_ran
from gradflow.watch.rules.idle_optimizer import optimizer_moves_nothing
from gradflow.watch.rules.lifeless_term import term_has_no_history
from gradflow.watch.rules.message_only import message_only
from gradflow.watch.rules.mixing import gradient_and_activation_differ
from gradflow.watch.rules.mixing_in_arrays import weight_gradient_in_arrays
from gradflow.watch.rules.module_backward import module_defines_backward
from gradflow.watch.rules.non_leaf import grad_of_non_leaf, guarded_grad_of_non_leaf
from gradflow.watch.rules.optimizers.left_behind import others_are_moved
from gradflow.watch.rules.optimizers.left_gradients import gradients_pile_up, gradients_stay_behind
from gradflow.watch.rules.optimizers.module_flag import flag_of_a_module
from gradflow.watch.rules.optimizers.module_left_out import module_is_left_out
from gradflow.watch.rules.optimizers.never_moves import optimizer_never_moves
from gradflow.watch.rules.optimizers.never_reached import optimizer_is_never_reached
from gradflow.watch.rules.optimizers.never_trainable import optimizer_holds_constants
from gradflow.watch.rules.optimizers.other_model import optimizer_of_another_model
from gradflow.watch.rules.optimizers.outdated import value_is_outdated
from gradflow.watch.rules.optimizers.unheld import later_parameters_are_unheld
from gradflow.watch.rules.pairing import gradient_of_another_call
from gradflow.watch.rules.parameters import optimizer_holds_a_copy, optimizer_is_stale, parameters_unregistered
from gradflow.watch.rules.partly_cut import one_way_is_cut
from gradflow.watch.rules.plain_tensor import plain_tensor_never_learns
from gradflow.watch.rules.replaced_output import hook_replaces_output
from gradflow.watch.rules.score_history import score_without_history
from gradflow.watch.rules.training import learns_nothing, steps_along_nan
from gradflow.watch.rules.unanswered import no_gradient_came
from gradflow.watch.rules.wrong_formula import formula_is_wrong
from gradflow.watch.rules.zero_steps import optimizer_steps_along_zeros
from gradflow.watch.unseen_holders import without_unseen_holders

__all__ = ["explain_observation", "findings_in", "summary"]

_WHOLE: tuple[Callable[[Observation], tuple[Finding, ...]], ...] = (
    program_failed,
    hook_replaces_output,
    hook_never_ran,
    hook_takes_zeros,
    hook_is_handed_nothing,
    gradient_and_activation_differ,
    gradient_of_another_call,
    weight_gradient_in_arrays,
    optimizer_is_stale,
    optimizer_holds_a_copy,
    gradients_pile_up,
    gradients_stay_behind,
    optimizer_steps_along_zeros,
    parameters_unregistered,
    later_parameters_are_unheld,
    flag_of_a_module,
    value_is_outdated,
    plain_tensor_never_learns,
    optimizer_moves_nothing,
    optimizer_never_moves,
    others_are_moved,
    optimizer_holds_constants,
    optimizer_of_another_model,
    module_is_left_out,
    optimizer_is_never_reached,
    term_has_no_history,
    steps_along_nan,
    score_is_not_finite,
    learns_nothing,
    formula_is_wrong,
    guarded_grad_of_non_leaf,
    module_defines_backward,
)
"""Rules about the program as a whole."""

_NEEDS_ALL_SEEN = frozenset({"layer-not-called", "output-discarded"})
"""What says that something never happened."""

_QUESTIONS_EXPLAINED = 40
_SEVERITY = {"error": 0, "warning": 1, "info": 2}


def findings_in(observation: Observation) -> tuple[Finding, ...]:
    """Everything that the rules find: what ended the program first, errors before warnings, then in order of time."""
    return _findings_and_doubts(with_models_told_apart(observation))[0]


def _not_gone_into(count: int) -> tuple[str, ...]:
    if not count:
        return ()
    more = f"{count:,} more gradient{'s' * (count != 1)}"
    return (f"what {more} met that the program asked for: only the first are gone into",)


def _findings_and_doubts(
    observation: Observation, *, is_block: bool = False
) -> tuple[tuple[Finding, ...], tuple[str, ...], int]:
    """The findings; in place of those that a gap in the record makes doubtful, what is not determined; what is left."""
    doubts: dict[str, None] = {}
    found: list[Finding] = []
    for rule in _WHOLE:
        found.extend(rule(observation))
    explained, left_out = 0, questions_left_out(observation)
    asked = questions_in(observation)
    if len(asked) > _QUESTIONS_EXPLAINED:
        asked = each_kind_in_turn(observation, asked)
    for number, question in enumerate(asked, start=1):
        new = tuple(replace(one, question=question) for one in _weighed(observation, question))
        switched = doubt_about_flag(observation, question)
        if switched and (new or _is_missed(observation, question)):
            doubts[switched] = None
            new = ()
        if any(one.diagnostic.name in _NEEDS_ALL_SEEN for one in new):
            doubt = doubt_about(observation, question, is_block=is_block)
            if doubt:
                doubts[doubt] = None
                new = tuple(one for one in new if one.diagnostic.name not in _NEEDS_ALL_SEEN)
        elif not new and not switched and (doubt := _lost_inside(observation, question)):
            doubts[doubt] = None
        found.extend(new)
        explained += bool(new)
        if explained >= _QUESTIONS_EXPLAINED:
            left_out += len(asked) - number
            break
    found, unseen = without_unseen_holders(observation, found, is_block=is_block)
    doubts.update(dict.fromkeys(unseen))
    if not found and not doubts:
        found.extend(message_only(observation))
    found.extend(backward_raised_somehow(observation, found))
    return _each_once(sorted((_at_own_line(observation, one) for one in found), key=_order)), tuple(doubts), left_out


def _lost_inside(observation: Observation, question: Question) -> str:
    """Why a gradient that was asked for never came, where that happened in code that is not looked into."""
    if question.target < 0 or question.score < 0 or question.measured.arrived:
        return ""
    doubt, _ = doubt_about_inside(observation, question, (question.target,))
    return doubt if doubt and _is_missed(observation, question) else ""


def _is_missed(observation: Observation, question: Question) -> bool:
    """Whether a gradient that was asked for did not come, and the program makes something of it."""
    return not question.measured.arrived and is_wanted(observation, question, evidence_for(observation, question))


def _each_once(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding for each place, and of one gradient that is read at several places those of the first."""
    unique: dict[tuple[str, object], Finding] = {}
    asked: dict[tuple[str, int, int], Question] = {}
    for one in found:
        name, question = one.diagnostic.name, one.question
        if question is not None:
            gradient = name, question.target, question.backward_number
            if question.target >= 0 and asked.setdefault(gradient, question) is not question:
                continue
        unique.setdefault((name, one.diagnostic.location), one)
    return tuple(unique.values())


def _at_own_line(observation: Observation, found: Finding) -> Finding:
    # a library's line may be reached from many of the user's: that of the operation itself counts
    moment = found.cut_at if found.cut_at >= 0 else found.operation
    return replace(found, diagnostic=at_own_line(observation.recording, found.diagnostic, moment))


def _order(found: Finding) -> tuple[int, int, int]:
    return _SEVERITY[found.diagnostic.severity], found.rank, found.operation


def _weighed(observation: Observation, question: Question) -> tuple[Finding, ...]:
    """An exception that the program has caught weighs less than one that ended it."""
    found = _about(observation, question)
    if not question.error:
        return found
    match weight_of_exception(observation, question.backward_number):
        case "info":
            return tuple(map(as_remark, found))
        case "warning":
            return tuple(map(as_warning, found))
    return found


def _about(observation: Observation, question: Question) -> tuple[Finding, ...]:
    if question.score < 0:
        return ()
    raised = backward_raised(observation, question) if question.error else ()
    if raised:
        return raised
    if question.error and question.target in question.backward.in_graph:
        return ()  # whatever raised, the way is there
    refused = bool(question.error) and not question.backward.roots_require_grad
    if refused:
        captured: tuple[Finding, ...] = ()
        if question.target >= 0:
            captured = captured_tensor_is_another(observation, question, evidence_for(observation, question))
        return (*score_without_history(observation, question), *captured)
    if question.target < 0:
        return ()
    evidence = evidence_for(observation, question)
    captured = captured_tensor_is_another(observation, question, evidence)
    if question.measured.arrived:
        came = captured or a_gradient_came(observation, question, evidence)
        return came or one_way_is_cut(observation, question, evidence)
    non_leaf = grad_of_non_leaf(observation, question, evidence)
    if non_leaf is not None:
        return (non_leaf, *(one for one in captured if one.diagnostic.name != "stale-activation"))
    if captured:
        return captured
    if question.backward.root_is_leaf:
        return score_without_history(observation, question)
    none_came = no_gradient_came(observation, question, evidence)
    return none_came if is_wanted(observation, question, evidence) else tuple(map(as_remark, none_came))


def explain_observation(
    observation: Observation, *, program: str = "", duration_s: float = 0.0, is_block: bool = False
) -> Report:
    """The report about a program, or a block of one, in the form that ``gradflow check`` gives too."""
    observation = with_models_told_apart(observation)
    found, doubts, left_out = _findings_and_doubts(observation, is_block=is_block)
    # what is only likely to be harmful says what was seen, not that all is well
    first = found[0] if found else None
    asked = questions_in(observation)
    last = next((question for question in reversed(asked) if question.target >= 0), None)
    name, kind = _target(observation, first, last)
    score = first.score if first is not None and first.score else score_text(observation, last.backward) if last else ""
    measured = last.measured if last is not None and first is None else None
    return Report(
        verdict=_verdict(first, is_open=bool(doubts or left_out) or _saw_nothing(observation)),
        target=Target(name=name, kind="parameter" if kind == "parameter" else "layer"),
        score=Score(description=score.strip("`") or "the score"),
        diagnostics=tuple(
            with_source(
                with_own_path(observation, one) if one is not first else one.diagnostic, observation.recording.lines
            )
            for one in found
        ),
        flow=_picture(observation, first),
        gradients=(
            GradientStatistics(
                name=name,
                arrived=measured.arrived,
                shape=measured.shape,
                l2_norm=measured.l2_norm,
                max_abs=measured.max_abs,
                entry_count=measured.entry_count,
                zero_count=measured.zero_count,
                nan_count=measured.nan_count,
                inf_count=measured.inf_count,
            ),
        )
        if measured is not None
        else (),
        environment=Environment(
            torch=metadata.version("torch"),
            python=platform.python_version(),
            gradflow=gradflow.__version__,
            model=program,
            watched=watched_text(observation),
            operation_count=len(observation.recording),
            module_call_count=len(observation.recording.calls),
            duration_s=duration_s,
        ),
        undetermined=(*doubts, *_not_gone_into(left_out), *not_watched(observation), *observation.formulas_unknown),
        seen=what_was_seen(observation),
        is_clear=shows_gradients(observation),
        lacking=what_is_lacking(observation) if first is not None and first.diagnostic.severity != "info" else "",
    )


def _target(
    observation: Observation, first: Finding | None, last: Question | None
) -> tuple[str, Literal["layer", "parameter"]]:
    """What the report is about: a finding that makes the verdict is about its own target, and about no other's."""
    if first is not None and first.target:
        return first.target, "parameter" if first.is_parameter else "layer"
    if first is not None and first.diagnostic.severity != "info" and first.verdict != "connected":
        last = first.question if first.question is not None and first.question.target >= 0 else None
    return name_of_value(observation, last.target) if last is not None else (NO_TARGET, "layer")


def _verdict(first: Finding | None, *, is_open: bool) -> Verdict:
    """A remark is about no gradient that was asked for."""
    if first is not None and first.diagnostic.severity != "info" and first.verdict != "connected":
        return first.verdict
    return "not determined" if is_open else "connected"


def _saw_nothing(observation: Observation) -> bool:
    """Whether no gradient was seen being asked for, and one may have been."""
    return not observation.program.backwards and not observation.recording.completeness.has_all("backward passes")


def summary(report: Report) -> str:
    """The report as text; one line where there is nothing to say."""
    if report.diagnostics:
        return str(report).rstrip("\n")
    return inert(printable(_line(report)))


def _line(report: Report) -> str:
    if not report.connected:
        return f"gradflow: not determined: {'; '.join(report.undetermined)}"
    later = "".join(f"; not determined: {text}" for text in report.undetermined)
    start = "gradflow: no fault found" if report.is_clear else "gradflow"
    return f"{start}: {'; '.join(report.seen)} ({report.environment.watched}{later})"


def _picture(observation: Observation, first: Finding | None) -> FlowGraph:
    """Of the first finding; empty where no path belongs to it, and where nothing is wrong."""
    question = first.question if first is not None else None
    if first is None or question is None:
        return FlowGraph()
    if question.target >= 0:
        return draw_question(observation, question, question.target)
    # of a term of the score, the rest would be missing
    is_whole = first.source >= 0 and question.score == question.backward.score
    return draw_question(observation, question, first.source) if is_whole else FlowGraph()
