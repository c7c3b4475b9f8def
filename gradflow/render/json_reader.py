"""From JSON back to a report, so that a saved one can be shown again without running the model."""

from __future__ import annotations

from dataclasses import dataclass

from gradflow.cam.result import CamResult
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.errors import RenderError
from gradflow.graph.elements import Branch, Cut, Edge, Node
from gradflow.graph.flow_graph import FlowGraph
from gradflow.render.json_codec import JsonObject, malformed
from gradflow.report import SCHEMA_VERSION, Environment, GradientStatistics, Report, Score, Target, Verdict

__all__ = ["report_from_json", "schema_version"]

_MOST_AXES = 4
_LONGEST = 2**20  # of the sides of a map


def report_from_json(data: object) -> Report:
    """The report that :func:`gradflow.render.json_report.report_to_json` wrote.

    The file holds only a summary of a Grad-CAM, so the entries of its maps are NaN; reports of further layers have no
    graph.

    Raises
    ------
    RenderError
        When the data is no report, or one of a schema version that this gradflow does not know.
    """
    source = JsonObject(data)
    version = schema_version(source)
    score = _score(JsonObject(source.read("target", dict), "target"))
    environment = source.read("environment", Environment, Environment())
    rows = source.read("layers", tuple[dict[str, object], ...], ())
    return Report(
        verdict=source.read("verdict", Verdict),
        target=source.read("layer", Target),
        score=score,
        diagnostics=source.read("diagnostics", tuple[Diagnostic, ...], ()),
        flow=_graph(JsonObject(source.read("graph", dict, {}), "graph")),
        gradients=source.read("gradients", tuple[GradientStatistics, ...], ()),
        environment=environment,
        assumptions=source.read("assumptions", tuple[str, ...], ()),
        undetermined=source.read("undetermined", tuple[str, ...], ()),
        seen=source.read("seen", tuple[str, ...], ()),
        is_clear=source.read("is_clear", bool, default=True),
        lacking=source.read("lacking", str, ""),
        cam=_cam(source),
        # the first row repeats the report itself
        others=tuple(
            _other(JsonObject(row, f"layers[{index}]"), score, environment) for index, row in enumerate(rows) if index
        ),
        schema_version=version,
    )


def schema_version(source: JsonObject) -> str:
    """The version of the file's schema; raises where this gradflow does not know it."""
    version: str = source.read("schema_version", str)
    if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
        raise RenderError(
            f"the report has schema version {version}, and this gradflow reads {SCHEMA_VERSION}",
            hint="show it with the gradflow that wrote it, or run the check again",
        )
    return version


def _score(source: JsonObject) -> Score:
    return Score(
        description=source.read("description", str),
        target=source.read("class_index", int | None, None),
        class_name=source.read("class_name", str, ""),
        value=source.read("value", float | None, None),
    )


@dataclass(frozen=True, slots=True)
class _Module:
    name: str
    type_name: str


def _graph(source: JsonObject) -> FlowGraph:
    modules: tuple[_Module, ...] = source.read("modules", tuple[_Module, ...], ())
    graph = FlowGraph(
        nodes=source.read("nodes", tuple[Node, ...], ()),
        edges=source.read("edges", tuple[Edge, ...], ()),
        cuts=source.read("cuts", tuple[Cut, ...], ()),
        branches=source.read("branches", tuple[Branch, ...], ()),
        modules=((module.name, module.type_name) for module in modules),
        score=source.read("score", str, ""),
        layer=source.read("layer", tuple[str, ...], ()),
        omitted_count=source.read("omitted_count", int, 0),
    )
    _check_references(graph)
    return graph


def _check_references(graph: FlowGraph) -> None:
    """Raise where a name stands for no node: a renderer could do nothing with it."""
    used = {graph.score} - {""} | set(graph.layer)
    used.update(edge.source for edge in graph.edges)
    used.update(edge.target for edge in graph.edges)
    for name in sorted(used):
        if name not in graph:
            raise RenderError(f"not a gradflow report: its `graph` names the node {name!r} but does not have it")


def _other(source: JsonObject, score: Score, environment: Environment) -> Report:
    return Report(
        verdict=source.read("verdict", Verdict),
        target=source.read("layer", Target),
        score=score,
        diagnostics=source.read("diagnostics", tuple[Diagnostic, ...], ()),
        gradients=source.read("gradients", tuple[GradientStatistics, ...], ()),
        environment=environment,
        assumptions=source.read("assumptions", tuple[str, ...], ()),
        undetermined=source.read("undetermined", tuple[str, ...], ()),
        cam=_cam(source),
    )


def _cam(parent: JsonObject) -> CamResult | None:
    data = parent.read("cam", dict | None, None)
    if data is None:
        return None
    import numpy  # only a report with a map pays for it

    source = JsonObject(data, "cam")
    size = source.read("input_size", tuple[int, ...] | None, None)
    if size is not None and len(size) != 2:
        raise malformed("cam.input_size", "a height and a width", list(size))
    shape = source.read("shape", tuple[int, ...])
    if len(shape) > _MOST_AXES or not all(0 <= length < _LONGEST for length in shape):
        raise malformed("cam.shape", "the sizes of a map", list(shape))
    # the numbers are not in the report; of the sizes that it names nothing is made room for
    unknown = numpy.broadcast_to(numpy.float32(numpy.nan), shape)
    return CamResult(
        method=source.read("method", str),
        layer=source.read("layer", str),
        target=source.read("class_index", int | None, None),
        saliency=unknown,
        normalised=unknown,
        input_size=None if size is None else (size[0], size[1]),
        files=source.read("files", tuple[str, ...], ()),
        notes=source.read("notes", tuple[str, ...], ()),
    )
