"""The outcome of an audit as data: every parameter of a model, and why some of them get no gradient."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.exit_status import exit_status
from gradflow.output.named import output_path
from gradflow.report import Environment, Score

__all__ = ["Activity", "AuditReport", "DepthProfile", "ParameterGradient", "ParameterState"]

SCHEMA_VERSION = "1.0"

ParameterState = Literal["gradient", "none", "zero", "not finite", "frozen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGradient:
    """What one parameter got.

    Attributes
    ----------
    name, module
        Qualified names of the parameter and of the module that owns it (``""`` for the model itself).
    state
        ``"gradient"``; ``"none"``: autograd has no path; ``"zero"``: every entry is zero, or the rounding error of a
        loss that is constant; ``"not finite"``: some entry is NaN or infinite; ``"frozen"``: ``requires_grad`` is
        ``False``.
    l2_norm
        Of the finite entries of the gradient; ``None`` where none arrived.
    order
        Position of the first operation that reads it, ``-1`` where none does.
    codes
        Codes of the diagnostics that explain it.
    shared_names
        Further names under which the same parameter is registered (tied weights).
    is_registered
        Whether ``model.parameters()`` has it.
    """

    name: str
    module: str
    shape: tuple[int, ...]
    entry_count: int
    state: ParameterState
    l2_norm: float | None = None
    order: int = -1
    codes: tuple[str, ...] = ()
    shared_names: tuple[str, ...] = ()
    is_registered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """How many units of one rectifying activation gave exactly zero for every sample and every position.

    A unit is a channel of a feature map, or a feature of a vector or token; ``place_count`` is the number of samples
    times positions that each was seen at.
    """

    module: str
    operation: str
    unit_count: int
    dead_count: int
    place_count: int

    @property
    def dead_share(self) -> float:
        """Between 0 and 1."""
        return self.dead_count / self.unit_count


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthProfile:
    """How the gradients of the weights change from the first layers to the last.

    The depth of a weight is the number of layers with weights that lie between it and the score. Of the weights at one
    depth (a query, a key and a value; a gate and what it multiplies) the largest gradient counts, as the root mean
    square of an entry. ``ratio`` is the median over the first quarter of the depths divided by that over the last
    quarter: far below one, the gradient vanishes on its way back; far above, it explodes. ``first`` and ``last`` are
    the sizes themselves, ``weight_count`` is the number of weights at all depths. ``is_judged`` is ``False`` where they
    tell nothing about training: of batch norms that have never seen data, where factors at the end of branches beside
    skip connections account for them, and where what arrives at the layers does not change likewise.
    """

    weight_count: int
    first: float
    last: float
    ratio: float
    is_judged: bool = True


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """Which parameters of a model get a gradient, and why the others do not.

    Attributes
    ----------
    score
        What was differentiated.
    parameters
        Every parameter once, in the model's order; those that the model does not know of come last.
    diagnostics
        Errors first; one per cause, ``hides`` names the parameters that it explains.
    depth
        ``None`` where there are too few weights, or their size tells nothing (``undetermined`` then says why).
    activities
        One for each rectifying activation that ran.
    assumptions, undetermined
        What was chosen because it was not given, and what could not be found out and why.
    """

    score: Score
    parameters: tuple[ParameterGradient, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    depth: DepthProfile | None = None
    activities: tuple[Activity, ...] = ()
    environment: Environment = field(default_factory=Environment)
    assumptions: tuple[str, ...] = ()
    undetermined: tuple[str, ...] = ()
    schema_version: str = SCHEMA_VERSION

    @property
    def trainable(self) -> tuple[ParameterGradient, ...]:
        """The registered parameters that require grad."""
        return tuple(one for one in self.parameters if one.is_registered and one.state != "frozen")

    @property
    def frozen(self) -> tuple[ParameterGradient, ...]:
        """The registered parameters that do not require grad."""
        return tuple(one for one in self.parameters if one.is_registered and one.state == "frozen")

    @property
    def unused(self) -> tuple[str, ...]:
        """Names of the trainable parameters without any gradient: those that DistributedDataParallel calls unused."""
        return tuple(one.name for one in self.trainable if one.state == "none")

    @property
    def exit_code(self) -> int:
        """The exit status of ``gradflow audit``: 1 with an error, or with a trainable parameter that gets none.

        One that gets a gradient in train mode only, or by other random draws, is no fault of the model: what is told of
        it is no error.
        """
        explained = {name for one in self.diagnostics if one.severity != "error" for name in one.hides}
        verdicts = ("broken" for name in self.unused if name not in explained)
        return exit_status(verdicts, (diagnostic.severity for diagnostic in self.diagnostics))

    def save(self, path: str | Path) -> Path:
        """Write the report in the format that the file's extension names: ``.json``, ``.md`` or ``.txt``.

        A file that is there is replaced as a whole, whoever has written it.

        Raises
        ------
        RenderError
            When the extension is unknown or the file cannot be written.
        """
        from gradflow.render.audit_formats import save

        return save(self, output_path(path))

    def to_json(self) -> dict[str, Any]:
        """The report as JSON-compatible data."""
        from gradflow.render.audit_json import audit_to_json

        return audit_to_json(self)

    def __str__(self) -> str:
        import gradflow.render.quiet_rich  # noqa: F401
        from gradflow.render.audit_terminal import render_audit_text

        return render_audit_text(self)
