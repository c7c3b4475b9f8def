"""Where the last trace of a target's data is dropped: the place, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass

from gradflow.diagnose.diagnostic import Annotation
from gradflow.location import SourceSpan
from gradflow.probe.evidence import Evidence
from gradflow.probe.never_ran.raised import what_raised
from gradflow.recording import ModuleCall, Recording
from gradflow.spelled import Spelled
from gradflow.torch_facts.operations.queries import gives_argument_back

__all__ = ["OTHER_OUTPUT", "Ended", "ended_by_raising", "ended_in_the_output"]

OTHER_OUTPUT = "the score reads another output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The line, the label under its carets, the reason, and what to do."""

    span: SourceSpan | None
    label: str
    note: str
    help: str
    annotations: tuple[Annotation, ...] = ()


def _another_output(ways: str) -> str:
    another = f"make the score from the output that this layer feeds ({ways})"
    return f"{another}, or ask for a layer before the one that is read"


_ANOTHER_OUTPUT = Spelled(_another_output("`--select`, `--score`"), in_python=_another_output("`output`, `score`"))


def ended_in_the_output(evidence: Evidence, call: ModuleCall) -> Ended:
    """What the model returns has the target's data in it, in other tensors than the score is made from."""
    made_of_it = [place for place, value in enumerate(call.outputs, 1) if evidence.dependence.depends[value]]
    which = f"tensor{'s' * (len(made_of_it) > 1)} {', '.join(map(str, made_of_it))} of {len(call.outputs)}"
    if any(_is_handed_on(evidence, call.outputs[place - 1]) for place in made_of_it):
        note = f"the model returns it ({which}), but the score is made from another output"
    else:
        note = f"what is made of it is returned by the model ({which}), but the score is made from another output"
    return Ended(
        span=evidence.objective_span,
        label=OTHER_OUTPUT,
        note=note,
        help=_ANOTHER_OUTPUT,
    )


def _is_handed_on(evidence: Evidence, value: int) -> bool:
    """Whether a value is the target's own, or a view of it: nothing was computed in between."""
    recording = evidence.recording
    own, memory = set(recording.layer_values.get(evidence.target, ())), recording.values.memory
    while value not in own:
        producer = recording.values.producer[value]
        inputs = recording.inputs_of(producer) if producer >= 0 else ()
        if len(inputs) != 1 or memory[inputs[0]] != memory[value] or gives_argument_back(recording.name_of(producer)):
            return False
        value = inputs[0]
    return True


def ended_by_raising(recording: Recording, call: ModuleCall) -> Ended:
    """The call of a module that raised: nothing that came before the exception in it, or would come after, counts."""
    return Ended(
        span=recording.site_span(call.site),
        label="raises an exception here, which the model catches",
        note=what_raised(recording, call),
        help=f"see why `{call.module}` raises: what handles the exception hides it",
    )
