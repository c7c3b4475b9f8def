"""One thing that went wrong in the program: what to say of it, and what it means for the gradient."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help, Severity
from gradflow.diagnose.verdict import Verdict
from gradflow.location import SourceSpan
from gradflow.watch.facts.questions import Question

__all__ = ["Finding", "as_remark", "as_warning", "finding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``rank`` orders findings: what ended the program first, then what was looked at, then the rest.

    ``operation`` is when the program met it, ``cut_at`` the operation at which the gradient is lost, if one is known.
    ``question`` is the gradient that the finding is about, where it is about one; ``source`` is the value that its path
    begins at, where the question is about several. ``unheld`` are parameters of which it takes for granted that no
    optimizer holds them, and ``if_held`` is what else is to be said where that is not known; nothing by default.
    """

    diagnostic: Diagnostic
    verdict: Verdict
    target: str = ""
    is_parameter: bool = False
    score: str = ""
    rank: int = 1
    operation: int = 0
    cut_at: int = -1
    question: Question | None = None
    source: int = -1
    unheld: tuple[int, ...] = ()
    if_held: Diagnostic | None = None


def finding(
    name: str,
    verdict: Verdict,
    message: str,
    location: SourceSpan | None,
    *,
    label: str = "here",
    notes: tuple[str, ...] = (),
    helps: tuple[str, ...] = (),
    annotations: tuple[tuple[SourceSpan | None, str], ...] = (),
    severity: Severity = "error",
    target: str = "",
    is_parameter: bool = False,
    score: str = "",
    rank: int = 1,
    operation: int = 0,
    unheld: tuple[int, ...] = (),
) -> Finding:
    """A finding with its diagnostic; annotations without a place, or at the place itself, are left out."""
    return Finding(
        diagnostic=Diagnostic(
            code=code_of(name),
            name=name,
            severity=severity,
            message=message,
            location=location,
            label=label if location is not None else "",
            annotations=tuple(
                Annotation(span=span, label=text) for span, text in annotations if span is not None and span != location
            ),
            notes=notes if location is not None else (*notes, "the line is not determined"),
            helps=tuple(Help(text=text) for text in helps),
        ),
        verdict=verdict,
        target=target,
        is_parameter=is_parameter,
        score=score,
        rank=rank,
        operation=operation,
        unheld=unheld,
    )


def as_remark(found: Finding) -> Finding:
    """The same finding, told to whom it may concern: no verdict rests on it."""
    diagnostic = replace(found.diagnostic, severity="info", hides=())
    return replace(found, diagnostic=diagnostic, verdict="connected", target="", rank=2)


def as_warning(found: Finding) -> Finding:
    """The same finding where it is no more than a warning."""
    if found.diagnostic.severity != "error":
        return found
    return replace(found, diagnostic=replace(found.diagnostic, severity="warning"), rank=1)
