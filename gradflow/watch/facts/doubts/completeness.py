"""Whether the record is complete enough to say that something did not happen. What was not seen is not denied."""

from __future__ import annotations

from gradflow.graph.dependence import Dependence, analyse
from gradflow.source_place import place
from gradflow.torch_facts.operations.queries import gives_values
from gradflow.watch.facts.doubts.given_away import came_back_unseen
from gradflow.watch.facts.doubts.inside import may_read, where_it_runs
from gradflow.watch.facts.flags import scored
from gradflow.watch.facts.naming.names import name_of_value, score_text
from gradflow.watch.facts.questions import Question
from gradflow.watch.observation import Observation

__all__ = ["doubt_about", "doubt_about_flag"]


def doubt_about(observation: Observation, question: Question, *, is_block: bool = False) -> str:
    """Why it is not known whether a score was computed from a target; empty where the record tells.

    Of a block (``is_block``) what was made before it is looked for elsewhere.
    """
    if question.target < 0 or question.score < 0:
        return ""
    dependence = analyse(scored(observation, question.score, (question.target,)), (question.target,))
    why = (
        _in_another_thread(observation, question)
        or ("" if is_block else _made_unseen(observation, dependence))
        or _read_inside(observation, dependence)
        or _read_by_opaque_code(observation, question, dependence)
        or came_back_unseen(observation, dependence, question.score)
        or _left_elsewhere(observation, question, dependence)
    )
    name, _ = name_of_value(observation, question.target)
    score = score_text(observation, question.backward)
    return f"whether {score} was computed from `{name}`, because {why}" if why else ""


def doubt_about_flag(observation: Observation, question: Question) -> str:
    """Why nothing can be said of a target whose ``requires_grad`` was switched unseen; empty for all others."""
    gaps = observation.recording.completeness.lacks("flag changes", of=(question.target,))
    if not any(gap.why == "out of sight" for gap in gaps):
        return ""
    name, _ = name_of_value(observation, question.target)
    return (
        f"why the gradient of `{name}` is as it is, because its `requires_grad` was switched where gradflow does not "
        "look: in another thread, by code that is not Python, or where torch's function modes are off"
    )


def _in_another_thread(observation: Observation, question: Question) -> str:
    if question.target in observation.program.used_elsewhere:
        return "its module also ran in another thread, and only the thread that starts the program is watched"
    return ""


def _made_unseen(observation: Observation, dependence: Dependence) -> str:
    """The score goes back to a tensor with a history that nobody saw being made."""
    recording = observation.recording
    for operation in range(len(recording)):
        if not any(dependence.reaches[value] for value in recording.outputs_of(operation)):
            continue
        for value in recording.inputs_of(operation):
            if recording.values.producer[value] < 0 and recording.leaf_names.get(value, ("", ""))[0] == "opaque":
                span = recording.span_of(operation)
                where = f"the tensor that {place(span)} reads" if span is not None else "a tensor that it was made of"
                return (
                    f"{where} was made where gradflow does not look: in another thread, by TorchScript, by a transform "
                    "of torch.func, or by code that is not Python"
                )
    return ""


def _read_inside(observation: Observation, dependence: Dependence) -> str:
    """An autograd Function on the way to the score reads it without having been given it."""
    recording = observation.recording
    for operation, values in observation.program.inner_reads.items():
        is_used = any(dependence.reaches[value] for value in recording.outputs_of(operation))
        if is_used and any(dependence.depends[value] for value in values):
            name = recording.name_of(operation).removesuffix(".apply")
            return f"the forward of `{name}` reads what depends on it, and what is done with it there was not recorded"
    return ""


def _read_by_opaque_code(observation: Observation, question: Question, dependence: Dependence) -> str:
    """Compiled code or TorchScript may read it too: a leaf that it reads without a gradient is not seen."""
    row = -1 if dependence.score_depends else may_read(observation, dependence, question.target)
    if row < 0:
        return ""
    return f"the {where_it_runs(observation, row)} may read it, and nothing inside is recorded"


def _left_elsewhere(observation: Observation, question: Question, dependence: Dependence) -> str:
    """As a plain number it may have come back: where its name could not be followed, or it is not known."""
    recording = observation.recording
    last = recording.values.producer[question.score]
    there = recording.span_of(last) if last >= 0 else recording.site_span(question.backward.site)
    for operation in dependence.exits:
        span = recording.span_of(operation)
        if operation > last or not gives_values(recording.name_of(operation)) or span is None or there is None:
            continue
        is_known = operation not in observation.program.left_partly and not recording.completeness.lacks(
            "numbers that left"
        )
        if span.path != there.path or not is_known:
            return f"a number that was computed from it left torch at {place(span)}, and may have come back"
    return ""
