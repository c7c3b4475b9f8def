"""What a watched block cannot know: what ran before it. There autograd's graph and the source have to answer."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from types import FrameType
from typing import Any

from gradflow.graph.dependence import analyse, is_differentiable
from gradflow.report import Report, Target
from gradflow.torch_facts.function_modes import unseen
from gradflow.watch.ended_by import ONLY_THE_MESSAGE, amended
from gradflow.watch.facts.questions import Question, questions_in
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation
from gradflow.watch.post_mortem.aftermath import Aftermath, asked_in, frame_scope
from gradflow.watch.post_mortem.examine import findings_about
from gradflow.watch.post_mortem.look import is_tensor, look_up
from gradflow.watch.post_mortem.missing_grad import grad_is_none
from gradflow.watch.post_mortem.outside_graph import not_reached

__all__ = ["with_what_ran_before"]

_NOT_SEEN = "what ran before the block, because it was not seen"


def with_what_ran_before(
    report: Report, observation: Observation, frame: FrameType | None, error: BaseException | None
) -> Report:
    """The report, without claims that only hold if nothing had run before the block.

    Parameters
    ----------
    report
        What the rules say of the block alone.
    observation
        What was seen.
    frame
        The function in which the block stands; ``None`` where it is gone.
    error
        What ended the block.
    """
    first = report.diagnostics[0] if report.diagnostics else None
    questions = [question for question in questions_in(observation) if _comes_from_before(observation, question)]
    if error is not None and _is_doubtful(report, is_partial=bool(questions)):
        found = findings_about(error)
        if found and (
            first is None or found[0].diagnostic.name != "backward-raised" or first.name == "backward-raised"
        ):
            return amended(report, found, undetermined=(_NOT_SEEN,) if questions else ())
    if first is None or report.verdict != "unused":
        return report
    for question in questions:
        if question.measured.arrived or question.target < 0:
            continue
        found = _from_frame(observation, question, frame) if frame is not None else ()
        known = tuple(one for one in found if one.diagnostic.name != ONLY_THE_MESSAGE)
        if found and not known:
            return _open(report, found[0])
        return amended(report, known, undetermined=(_NOT_SEEN,)) if known else _unknown(report)
    return report


def _is_doubtful(report: Report, *, is_partial: bool) -> bool:
    """Whether the block alone does not say what raised, or says what would hold only of a whole program."""
    if not report.diagnostics:
        return True
    first = report.diagnostics[0]
    return (
        first.location is None
        or first.name == "backward-raised"
        or (is_partial and (report.verdict == "unused" or first.name in ("graph-freed", "inplace-modification")))
    )


def _comes_from_before(observation: Observation, question: Question) -> bool:
    """Whether a score was computed from tensors that are older than the block, other than parameters.

    Also of a leaf that requires grad: it may be a value that was detached, and told to require grad then.
    """
    recording = observation.recording
    if question.score < 0:
        return False
    reaches = analyse(replace(recording, score=question.score), ()).reaches
    values = recording.values
    for value in range(len(values.producer)):
        if not reaches[value] or values.producer[value] >= 0 or not is_differentiable(recording.dtype_of(value)):
            continue
        role = recording.leaf_names.get(value, ("", ""))[0]
        if value != question.target and role not in ("parameter", "buffer"):
            return True
    return False


def _from_frame(observation: Observation, question: Question, frame: FrameType) -> tuple[Finding, ...]:
    """Ask the variables of the function and the graph behind them, as after an exception."""
    span = observation.recording.site_span(question.site)
    if span is None or span.path != frame.f_code.co_filename:
        return ()
    with contextlib.ExitStack() as stack, unseen():
        after = frame_scope(frame, span, stack)
        if after.scope is None:
            return ()
        if question.read is not None:
            return grad_is_none(after)
        return _asked(after)


def _asked(after: Aftermath) -> tuple[Finding, ...]:
    """``torch.autograd.grad(..., allow_unused=True)`` gave ``None``."""
    roots, inputs = asked_in(after.expression, after.names)
    root: Any = look_up(roots[0], after.names) if roots else None
    for node in inputs:
        tensor = look_up(node, after.names)
        if is_tensor(tensor) and is_tensor(root):
            return not_reached(after, root, roots[0], tensor, node)
    return ()


def _open(report: Report, found: Finding) -> Report:
    """The variables that are left name no cause either, and nothing was raised that would be one."""
    text = f"why no gradient came at `{found.target}`, because what ran before the block was not seen"
    return replace(
        report,
        verdict="not determined",
        diagnostics=(),
        target=Target(name=found.target, kind="parameter" if found.is_parameter else "layer"),
        undetermined=(*report.undetermined, text),
    )


def _unknown(report: Report) -> Report:
    """What the block alone shows is no proof: a way may have been cut before it."""
    first = report.diagnostics[0]
    weaker = replace(
        first,
        severity="warning",
        message=f"inside the block, {first.message}",
        notes=(*first.notes, "what came into the block was computed before it, unseen: a way may have been cut there"),
    )
    return replace(
        report, diagnostics=(weaker, *report.diagnostics[1:]), undetermined=(*report.undetermined, _NOT_SEEN)
    )
