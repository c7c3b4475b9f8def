"""GF503, GF111: a backward raised, and no other rule says why. Whatever it was, the gradient was not computed."""

from __future__ import annotations

import builtins
from collections.abc import Collection

from gradflow.diagnose.diagnostic import Severity
from gradflow.recording.program.events import Backward
from gradflow.torch_facts.operations.writing import written
from gradflow.watch.facts.claims import weight_of_exception
from gradflow.watch.facts.naming.names import score_text
from gradflow.watch.finding import Finding, finding
from gradflow.watch.observation import Observation

__all__ = ["backward_raised_somehow"]

_APPLIED = ".apply"


def backward_raised_somehow(observation: Observation, explained: Collection[Finding]) -> tuple[Finding, ...]:
    """The first of each line and kind, without those that a finding is about already."""
    told = {one.question.backward_number for one in explained if one.question is not None}
    # a rule about the exception that ended the program names no question
    raised_at = {one.operation for one in explained if one.verdict == "error"}
    found: dict[tuple[int, str], Finding] = {}
    for number, backward in enumerate(observation.program.backwards):
        is_error = bool(backward.error_type) and not _is_interruption(backward.error_type)
        if is_error and number not in told and backward.operation not in raised_at:
            found.setdefault((backward.site, backward.error_type), _said(observation, number, backward))
    return tuple(found.values())


def _said(observation: Observation, number: int, backward: Backward) -> Finding:
    recording = observation.recording
    name = recording.name_of(backward.stopped_at) if backward.stopped_at >= 0 else ""
    here = recording.site_span(backward.site)
    made = recording.span_of(backward.stopped_at) if name else None
    place = backward.raised_in or made or here
    function = _function(name, backward)
    helps: tuple[str, ...] = ()
    if function:
        message, label = f"backward cannot run: the backward of `{function}` raised", "raised here"
        helps = (f"mend `{function}.backward`",)
    elif backward.raised_in is not None:
        message, label = "backward cannot run: code that ran within it, such as a hook, raised", "raised here"
        helps = ("mend what raised here: it runs in every backward through this part of the graph",)
    elif name:
        message, label = f"backward cannot run: it raised at `{written(name)}`", "backward stopped at this operation"
        if backward.error_type == "NotImplementedError":
            # its derivative is missing, or only for this dtype, layout or device: torch says which, in the note
            helps = (
                f"use other operations or another dtype than `{written(name)}` has here, as torch's words tell",
                "or detach where no gradient is wanted",
            )
    else:
        message, label = "backward raised, and no gradient came", "raised here"
    severity = _severity(observation, number)
    who = "torch" if backward.is_torchs_error else "the exception"
    return finding(
        "custom-function" if function else "backward-raised",
        "connected" if severity == "info" else "error",
        message,
        place,
        label=label if place != here else "raised here",
        annotations=((made, "its forward ran here"), (here, "backward was called here")),
        notes=(f"{who} says: {backward.error_type}: {backward.error.partition('. ')[0]}",),
        helps=helps,
        severity=severity,
        score=score_text(observation, backward),
        rank=0,
        operation=backward.operation,
    )


def _function(name: str, backward: Backward) -> str:
    """The custom Function whose own `backward` raised; empty where it was something else, such as a hook."""
    raised_in = backward.raised_in.function if backward.raised_in is not None else ""
    is_its_own = name.endswith(_APPLIED) and raised_in.rpartition(".")[2] == "backward"
    return name.removesuffix(_APPLIED) if is_its_own else ""


def _is_interruption(type_name: str) -> bool:
    """Ctrl-C and ``sys.exit``, say, are no errors, and so no ``Exception``."""
    known = getattr(builtins, type_name, Exception)
    return isinstance(known, type) and not issubclass(known, Exception)


def _severity(observation: Observation, number: int) -> Severity:
    """What nothing more is known of is an error only where it ended the program."""
    weight = weight_of_exception(observation, number)
    is_last = any(failure.is_last for failure in observation.program.failures) and number + 1 == len(
        observation.program.backwards
    )
    return "warning" if weight == "error" and not is_last else weight
