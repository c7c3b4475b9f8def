"""What gradflow has to say: one cause, one :class:`Diagnostic`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradflow.location import SourceSpan

__all__ = ["Annotation", "Diagnostic", "Help", "PathStep", "Repair", "Severity"]

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A span with a short label, drawn under the source line."""

    span: SourceSpan
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A change that gradflow tried on a copy of the run, or could not try.

    ``verified`` is ``True`` when a gradient then arrived, ``False`` when none did, or one of exactly zero, and ``None``
    when the repair was not tried; ``outcome`` says it in words ("the gradient then reaches `layer4`, L2 norm 0.0123").
    """

    description: str
    verified: bool | None = None
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Help:
    """One way out: the change to make, and what came of trying it."""

    text: str
    repair: Repair | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStep:
    """One stop on the way from the score to the layer.

    ``kind`` is ``"score"``, ``"step"``, ``"cut"`` or ``"layer"``; ``module`` is a qualified name, empty for the model
    itself; ``operation`` is the operation's name as torch names it; ``shape`` is the shape of the value there.
    ``is_reached``, of the layer: a gradient that is not zero was measured there, by this way or by another.
    """

    kind: Literal["score", "step", "cut", "layer"]
    label: str
    module: str = ""
    operation: str = ""
    shape: tuple[int, ...] | None = None
    span: SourceSpan | None = None
    is_reached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """A line of a file as it was when the report was saved."""

    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """A finding about the gradient that was asked for.

    Attributes
    ----------
    code, name
        Stable: ``GF101`` and ``detach``. ``name`` is the vocabulary of causes, kebab-case.
    severity
        ``error`` only for what was shown to be so; ``warning`` for what is likely harmful; ``info`` for what is worth
        knowing.
    message
        The headline, one line, without a final stop: what is broken. Backticks mark code.
    location, label
        The smallest span of the root cause and a short text for under its carets; ``None`` when not determined (a note
        then says why).
    annotations
        Further spans that explain the first one.
    module
        Qualified name of the module in which the cause lies, ``""`` for the model itself.
    path
        From the score back to the layer.
    notes
        Why it is so, and context; each one sentence or two.
    helps
        One per way out.
    hides
        Qualified names of what gets no gradient because of this.
    source
        The lines to show, of a saved report; ``None`` where they are still to be read from the files.
    """

    code: str
    name: str
    severity: Severity
    message: str
    location: SourceSpan | None = None
    label: str = ""
    annotations: tuple[Annotation, ...] = ()
    module: str = ""
    path: tuple[PathStep, ...] = ()
    notes: tuple[str, ...] = ()
    helps: tuple[Help, ...] = ()
    hides: tuple[str, ...] = ()
    source: tuple[SourceLine, ...] | None = None
