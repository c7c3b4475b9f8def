"""GF301: the layer ran, but on nothing: an expert that no token was sent to, a head without any proposal."""

from __future__ import annotations

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Diagnostic, Help
from gradflow.diagnose.empty_result import empty_result
from gradflow.probe.evidence import Evidence
from gradflow.torch_facts.operations.writing import written

__all__ = ["layer_ran_on_nothing"]


def layer_ran_on_nothing(evidence: Evidence) -> tuple[Diagnostic, ...]:
    """What the layer gave has no entries, so no gradient can come back from it."""
    start = empty_result(evidence)
    if start < 0:
        return ()
    recording = evidence.recording
    origin = _origin(evidence, start)
    made = f"`{written(recording.name_of(origin))}`" if origin >= 0 else "what is given to it"
    layer = evidence.target if evidence.kind == "layer" else evidence.target.rpartition(".")[0]
    result = "there is no gradient" if evidence.kind == "layer" else f"the gradient at `{evidence.target}` is zero"
    return (
        Diagnostic(
            code=code_of("layer-not-called"),
            name="layer-not-called",
            severity="error",
            message=f"`{layer}` ran on an empty tensor, so {result}",
            location=recording.span_of(origin) if origin >= 0 else None,
            label="gives an empty tensor for this input",
            module=layer,
            notes=(
                f"{made} found nothing for `{layer}`: its result has the shape {list(recording.values.shape[start])}",
            ),
            helps=(Help(text="try an input, or a larger batch, from which something is sent to this layer"),),
            hides=(evidence.target,),
        ),
    )


def _origin(evidence: Evidence, value: int) -> int:
    """The operation that made something empty of what was not."""
    recording = evidence.recording
    while (producer := recording.values.producer[value]) >= 0:
        empty = [given for given in recording.inputs_of(producer) if 0 in recording.values.shape[given]]
        if not empty:
            return producer
        value = empty[-1]
    return -1
