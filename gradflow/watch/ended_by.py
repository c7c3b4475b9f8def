"""The exception that ended a watched program, where the record says nothing of it: the post-mortem has to answer."""

from __future__ import annotations

from dataclasses import replace

from gradflow.report import Report, Target
from gradflow.watch.finding import Finding
from gradflow.watch.observation import Observation
from gradflow.watch.post_mortem.examine import findings_about

__all__ = ["ONLY_THE_MESSAGE", "EndedBy", "amended"]

ONLY_THE_MESSAGE = "backward-raised"
"""The name of findings that give back what torch says, and name no cause."""


class EndedBy:
    """Looks at the exception while it is there, and lets go of it: what is kept is text and places."""

    def __init__(self) -> None:
        self._found: tuple[Finding, ...] = ()

    def look(self, error: BaseException) -> None:
        """Explain it as :func:`gradflow.explain_last_error` does."""
        self._found = findings_about(error)

    def refine(self, report: Report, observation: Observation) -> Report:
        """The report, with what the exception says where nothing else was found, or no more than its own message."""
        is_open = all(one.name == ONLY_THE_MESSAGE for one in report.diagnostics)
        is_more = any(one.diagnostic.name != ONLY_THE_MESSAGE for one in self._found)
        if not self._found or not is_open or (report.diagnostics and not is_more):
            return report
        return amended(report, self._found)


def amended(report: Report, found: tuple[Finding, ...], *, undetermined: tuple[str, ...] = ()) -> Report:
    """The report about other findings than its own."""
    first = found[0]
    return replace(
        report,
        verdict=first.verdict,
        target=Target(name=first.target or "the parameters", kind="parameter" if first.is_parameter else "layer"),
        diagnostics=tuple(one.diagnostic for one in found),
        undetermined=(*report.undetermined, *undetermined),
    )
