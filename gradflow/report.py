"""The outcome of a check as data: what every renderer draws and what is saved as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.diagnose.verdict import Verdict
from gradflow.exit_status import exit_status
from gradflow.graph.flow_graph import FlowGraph

if TYPE_CHECKING:
    import networkx

    from gradflow.cam.result import CamResult

__all__ = ["NO_TARGET", "Environment", "GradientStatistics", "Report", "Score", "Target", "Verdict"]

SCHEMA_VERSION = "1.0"

NO_TARGET = "the program"
"""What a report is about that is about no tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The scalar that was differentiated.

    ``description`` is short and readable: ``score[281]`` or ``largest entry of output['logits'][0], index 281``;
    ``target`` is the class index where there is one; ``class_name`` where the weights or the user name it.
    """

    description: str
    target: int | None = None
    class_name: str = ""
    value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the gradient was asked of.

    ``name`` is a qualified module or parameter name; ``type_name`` the module's class; ``shape`` that of the
    activation or
    parameter; ``slice`` as given by the user, such as ``[:, 1:]``; ``call_count`` how often the module ran.
    """

    name: str
    kind: Literal["layer", "parameter"] = "layer"
    type_name: str = ""
    shape: tuple[int, ...] | None = None
    slice: str = ""
    call_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientStatistics:
    """The gradient that arrived at one module or parameter.

    ``l2_norm`` and ``max_abs`` are of the finite entries; counts are numbers of entries; ``arrived`` is ``False`` where
    autograd returned ``None``.
    """

    name: str
    arrived: bool
    shape: tuple[int, ...] | None = None
    l2_norm: float | None = None
    max_abs: float | None = None
    entry_count: int = 0
    zero_count: int = 0
    nan_count: int = 0
    inf_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the check ran with; all strings are ready to show.

    ``watched`` is what a program did while it was watched: "33 operations, 2 forward passes".
    """

    torch: str = ""
    python: str = ""
    gradflow: str = ""
    device: str = "cpu"
    dtype: str = ""
    mode: str = ""
    seed: int | None = None
    model: str = ""
    input: str = ""
    watched: str = ""
    parameter_count: int = 0
    operation_count: int = 0
    module_call_count: int = 0
    forward_count: int = 1
    duration_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything gradflow found out about one gradient.

    Attributes
    ----------
    verdict
        About the gradient that was asked for: ``connected``, ``broken`` (the layer influences the score, autograd has
        no path), ``unused`` (it does not influence the score, or never ran), ``zero``, ``wrong`` (a gradient arrives,
        but it is not the true derivative), ``nan``, ``stale``, ``error`` or, where something that could change the
        answer was not seen, ``not determined``.
    diagnostics
        Root cause first.
    flow
        The graph of the run as plain data; :attr:`graph` is the same as a networkx graph.
    gradients
        Statistics of the gradient at the target, one per call of the layer.
    assumptions
        What gradflow chose because the user had not said it ("weights: none, random initialisation").
    undetermined
        What could not be found out, each with the reason.
    seen
        Of a watched program: what was seen of its gradients, which is all that ``connected`` rests on.
    is_clear
        Of a watched program: whether what was seen is what a program without fault shows. Not so where no gradient was
        asked for, none of those that were looked for came, an exception ended it, or its exit status is not 0.
    lacking
        Of a watched program: how many parameters got no gradient although an optimizer that steps holds them. The
        verdict is about gradients that were asked for, and these may not have been; empty for none.
    cam
        The Grad-CAM, where one was asked for and the path is connected in the run that it is made of;
        ``report.cam.save("cam.png")`` writes it, while :meth:`save` draws the graph.
    cam_refusal
        Why there is none, where one was asked for and the verdict does not tell.
    others
        Reports of the other layers, when several were asked for in the same check.
    """

    verdict: Verdict
    target: Target
    score: Score
    diagnostics: tuple[Diagnostic, ...] = ()
    flow: FlowGraph = field(default_factory=FlowGraph)
    gradients: tuple[GradientStatistics, ...] = ()
    environment: Environment = field(default_factory=Environment)
    assumptions: tuple[str, ...] = ()
    undetermined: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    is_clear: bool = True
    lacking: str = ""
    cam: CamResult | None = None
    cam_refusal: str = ""
    others: tuple[Report, ...] = ()
    schema_version: str = SCHEMA_VERSION

    @property
    def connected(self) -> bool:
        """Whether the gradient asked for arrives and nothing is known to be wrong with it."""
        return self.verdict == "connected"

    @property
    def graph(self) -> networkx.MultiDiGraph[str]:
        """The graph of the run as a frozen networkx ``MultiDiGraph``; see :attr:`FlowGraph.networkx`."""
        return self.flow.networkx

    @property
    def reports(self) -> tuple[Report, ...]:
        """This report and those of the other layers of the same check."""
        return (self, *self.others)

    @property
    def exit_code(self) -> int:
        """The exit status of ``gradflow check``: 0 when every layer is connected and no finding is an error, else 1."""
        return self.exit_status()

    def exit_status(self, *, strict: bool = False) -> int:
        """The exit status that the report stands for; with ``strict`` 1 for a warning too, as of ``gradflow run``."""
        found = (diagnostic.severity for report in self.reports for diagnostic in report.diagnostics)
        return exit_status((report.verdict for report in self.reports), found, strict=strict)

    def save(self, path: str | Path) -> Path:
        """Write the report in the format that the file's extension names: ``.json``, ``.svg``, ``.dot``, ``.png`` ...

        A file that is there is replaced as a whole, whoever has written it.

        Raises
        ------
        RenderError
            When the extension is unknown or the file cannot be written.
        """
        from gradflow.render import save

        return save(self, path)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON-compatible data; see ``docs/reference/report.schema.json``."""
        from gradflow.render.json_report import report_to_json

        return report_to_json(self)

    def __str__(self) -> str:
        import gradflow.render.quiet_rich  # noqa: F401
        from gradflow.render.terminal import render_text

        return render_text(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self).rstrip("\n"))  # in IPython's terminal

    def _repr_html_(self) -> str:
        from gradflow.render.notebook import render_notebook

        return render_notebook(self)
