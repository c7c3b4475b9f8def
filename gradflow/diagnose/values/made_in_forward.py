"""A NaN or an infinity of the forward pass in words: which operation made it, and what to do about it."""

from __future__ import annotations

from gradflow.probe.facts.bad_number import BadNumber
from gradflow.recording import Recording
from gradflow.torch_facts.operations.writing import written

__all__ = ["said_of_making", "then_nan", "ways_out"]

_OF_NOTHING = "it is given a tensor without entries"


def said_of_making(recording: Recording, made: BadNumber) -> tuple[str, str]:
    """What the operation does, for a message, and the label at its line."""
    name = written(recording.name_of(made.operation))
    if _reads_nothing(recording, made):
        return f"`{name}` gives NaN, as {_OF_NOTHING}", f"gives NaN: {_OF_NOTHING}"
    if made.is_given:
        return f"`{name}` is given NaN in the forward pass", "is given NaN, which nothing that was recorded made"
    if made.kind == "NaN":
        return f"`{name}` gives NaN in the forward pass", "gives NaN: no tensor that it was given holds any"
    return f"`{name}` gives infinity in the forward pass", "gives infinity: no tensor that it was given holds any"


def then_nan(recording: Recording, made: BadNumber) -> tuple[str, ...]:
    """The note about what became of an infinity; none where nothing did."""
    if made.then < 0:
        return ()
    span = recording.span_of(made.then)
    where = f" in line {span.line}" if span is not None and span != recording.span_of(made.operation) else ""
    return (f"`{written(recording.name_of(made.then))}`{where}, which works with infinity, gives NaN",)


def ways_out(recording: Recording, made: BadNumber) -> tuple[str, ...]:
    """How to keep it from being made."""
    if _reads_nothing(recording, made):
        return ("leave it out where nothing is selected: `if mask.any(): ...`",)
    if made.is_given:
        return ("look for it in the data and in the parameters: `assert torch.isfinite(x).all()` before this line",)
    if made.kind == "infinity":
        forms = "a form or a type that does not overflow"
        return (f"keep what it gives finite: clamp what goes in, write a finite number, or compute it in {forms}",)
    if made.reads_infinity:
        return ("give it a finite number: a row that is `-inf` throughout, all of it masked, has no softmax",)
    return ("keep the input within what this operation is defined for: clamp it, or mask it before this line",)


def _reads_nothing(recording: Recording, made: BadNumber) -> bool:
    if made.kind != "NaN" or made.is_given:
        return False
    read = recording.inputs_of(made.operation)
    return bool(read) and all(0 in recording.values.shape[value] for value in read)
