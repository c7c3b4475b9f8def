"""GF303: the layer gets a gradient, but not at the positions that were asked for."""

from __future__ import annotations

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Diagnostic, Help
from gradflow.diagnose.narrowest_read import narrowest_read, where_zeros_begin
from gradflow.diagnose.operation_place import operation_place
from gradflow.diagnose.score_path import score_path
from gradflow.diagnose.values.rest_of_target import is_rest_alive
from gradflow.diagnose.values.zero_start import as_long_as, once_moved
from gradflow.diagnose.verdict import verdict_of
from gradflow.probe.evidence import Evidence
from gradflow.spelled import Spelled
from gradflow.torch_facts.operations.families import is_attention
from gradflow.torch_facts.operations.spelling import operation_of

__all__ = ["position_is_not_read"]


def position_is_not_read(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """The part that was asked for gets zero, the rest does not."""
    if not evidence.slice or verdict_of(evidence) != "zero":
        return ()
    if not is_rest_alive(evidence):
        return ()
    read = narrowest_read(evidence)
    asks_for_samples = evidence.slice.strip("[ ").split(",")[0].strip("] ") not in (":", "...")
    operation = read if read >= 0 or asks_for_samples else where_zeros_begin(evidence)
    location, annotations = operation_place(evidence, operation)
    notes = _of_the_rest(evidence)
    if operation >= 0:
        label = "only other positions are read from here on" if read >= 0 else "only other positions go on from here"
        helps = (
            "ask for a layer before the last one that mixes positions, such as the norm before the last attention"
            if _attends(evidence)
            else "ask for the part that is read, or for a layer before it is picked out",
            "or read all positions (for example their mean) instead of one",
        )
    else:
        location, label = evidence.objective_span, "the score reads other positions"
        notes.append(
            f"no line of the model drops them: {evidence.score} itself is made from other positions only"
            if asks_for_samples
            else f"no single line of the model was found that drops them before {evidence.score}"
        )
        helps = (
            "ask for positions that the score is made from: by default it belongs to the first sample of the batch",
            Spelled(
                "or make a score from all of them, with a function given to `--score`",
                in_python="or make a score from all of them, with a function given as `score`",
            ),
        )
    return (
        Diagnostic(
            code=code_of("position-not-read"),
            name="position-not-read",
            severity="error",
            message=f"the gradient at `{evidence.target}{evidence.slice}` is zero: these positions are not read",
            location=location,
            label=label,
            annotations=annotations,
            module=evidence.recording.module_of(operation) if operation >= 0 else "",
            path=score_path(evidence, mark_ends=False),
            notes=tuple(notes),
            helps=tuple(Help(text=text) for text in helps),
            hides=(evidence.target,),
        ),
    )


def _of_the_rest(evidence: Evidence) -> list[str]:
    starts = evidence.starts_of_rest
    if not starts:
        return ["the rest of the layer's output does get a gradient, so the path itself is whole"]
    return [
        f"the rest of the layer's output gets zero as well, {as_long_as(starts)}",
        f"tried: {once_moved(starts)}, a gradient arrives at the rest, and these positions still get exactly zero",
    ]


def _attends(evidence: Evidence) -> bool:
    """Whether the model mixes the positions of its layers by attention."""
    names = {evidence.recording.name_of(operation) for operation in range(len(evidence.recording))}
    return any(is_attention(name) or operation_of(name) == "softmax" for name in names)
