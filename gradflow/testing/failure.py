"""The exception of a failed assertion: one line that says why, the whole diagnosis, and the report."""

from __future__ import annotations

from collections.abc import Iterable

from gradflow.audit_report import AuditReport
from gradflow.current_test import cares_for
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.printable import inert, printable
from gradflow.report import Report

__all__ = ["GradientAssertionError", "failing", "reason_of"]


class GradientAssertionError(AssertionError):
    """A gradient is not as a test says that it should be.

    Attributes
    ----------
    reason
        One line: the headline of the finding.
    report
        What was found out.
    diagnostic
        The finding that ``reason`` is of, where there is one: it knows the line in the model.
    is_brief
        Whether ``str`` gives the reason alone, because the diagnosis is shown elsewhere.
    """

    def __init__(
        self, reason: str, report: Report | AuditReport, *, diagnostic: Diagnostic | None = None, detail: str = ""
    ) -> None:
        self.reason = printable(reason)
        super().__init__(self.reason)
        self.report = report
        self.diagnostic = diagnostic
        self.is_brief = False
        self._detail = detail

    @property
    def diagnosis(self) -> str:
        """The whole text, as ``gradflow check`` and ``gradflow audit`` show it."""
        return inert("\n\n".join(filter(None, (self._detail, str(self.report).rstrip("\n")))))

    def __str__(self) -> str:
        if self.is_brief:
            return self.reason
        diagnosis = self.diagnosis
        # of one layer, the diagnosis begins with the same words
        return diagnosis if diagnosis.startswith(self.reason.split(":")[0]) else f"{self.reason}\n\n{diagnosis}"


def failing(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The findings that the running test cares for, without mere notes; errors first."""
    found = [one for one in diagnostics if one.severity != "info" and cares_for(one.code, one.name)]
    return sorted(found, key=lambda one: one.severity != "error")


def reason_of(diagnostic: Diagnostic) -> str:
    """The header of a finding, as the terminal shows it: ``error[GF101] detach: no gradient reaches ...``."""
    return f"{diagnostic.severity}[{diagnostic.code}] {diagnostic.name}: {diagnostic.message}"
