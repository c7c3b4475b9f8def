"""What the rules look at: what was seen of a program, and what was then found out about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradflow.probe.formula_check import FormulaCheck
from gradflow.recording import Recording
from gradflow.recording.program.recording import ProgramRecording

if TYPE_CHECKING:
    from gradflow.probe.layer_view import NotCalled

__all__ = ["Observation"]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A program as it was seen, with the answers that need more than the record.

    ``not_called`` tells why a module that was asked about never ran, by its key; ``formulas`` what came of checking the
    backward of the program's own Functions, ``formulas_unknown`` of which it is not known whether theirs is right.
    """

    program: ProgramRecording
    not_called: Mapping[int, NotCalled] = field(default_factory=dict)
    formulas: tuple[FormulaCheck, ...] = ()
    formulas_unknown: tuple[str, ...] = ()

    @property
    def recording(self) -> Recording:
        """The operations of the program."""
        return self.program.recording
