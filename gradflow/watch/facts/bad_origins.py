"""Which operation of a forward gave, or was given, the first number that is not finite; in words."""

from __future__ import annotations

from dataclasses import dataclass

from gradflow.recording import Recording
from gradflow.recording.program.events import Backward
from gradflow.torch_facts.operations.writing import written

__all__ = ["BadOrigin", "bad_origin"]

_GOES_IN = (
    "look at what goes in: zero in a division or under `log` is kept away by `clamp` or `+ 1e-12`; a row that is all "
    "`-inf` has no softmax, so leave it out, or unmask one entry of it"
)
_MASK = "mask such entries before this line: `torch.where` after it does not help, as 0 * NaN is NaN"
_GIVEN = "look for it in the data and in the parameters: `assert torch.isfinite(x).all()` before this line"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadOrigin:
    """``said`` is what the operation does, for a message."""

    operation: int
    said: str
    label: str
    note: str
    helps: tuple[str, ...]


def bad_origin(recording: Recording, backward: Backward) -> BadOrigin | None:
    """``None`` where all was finite, or it is not known which one it was."""
    row = backward.origin
    if row < 0:
        return None
    name = f"`{written(recording.name_of(row))}`"
    if backward.origin_is_given:
        return BadOrigin(
            operation=row,
            said=f"{name} is given NaN or infinity in the forward",
            label="is given NaN or infinity already",
            note="measured: nothing that autograd saved before it is NaN or infinite",
            helps=(_GIVEN, _MASK),
        )
    return BadOrigin(
        operation=row,
        said=f"{name} gives NaN or infinity in the forward",
        label="the result is NaN or infinite",
        note="measured: of what autograd saved, this is the first result that is not finite",
        helps=(_GOES_IN, _MASK),
    )
