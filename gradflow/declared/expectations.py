"""What is expected of a declared model, one check for each kind of expectation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradflow.declared.model import DeclaredModel

if TYPE_CHECKING:
    from gradflow.audit_report import AuditReport
    from gradflow.report import Report

__all__ = ["Expectation", "expectations_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One thing that is expected of a model; ``kind`` is the key of the table that says so."""

    model: DeclaredModel
    kind: str

    def verify(self) -> Report | AuditReport:
        """Load the model, check it and return the report.

        Raises
        ------
        GradientAssertionError
            When the expectation is not met.
        GradflowError
            When the check cannot be carried out.
        """
        # `verified` is an assertion, and those import torch
        from gradflow.declared.verifying import verified

        return verified(self.model, self.kind)


def expectations_of(model: DeclaredModel) -> tuple[Expectation, ...]:
    """The expectations of a model, in the order in which they are checked."""
    declared = {
        "layers": model.layers,
        "disconnected": model.disconnected,
        "skips": model.skips,
        "frozen": model.frozen,
        "all-parameters-learn": model.all_parameters_learn,
    }
    return tuple(Expectation(model=model, kind=kind) for kind, wanted in declared.items() if wanted)
