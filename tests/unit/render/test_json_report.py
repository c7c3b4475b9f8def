from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy
import pytest

from gradflow.cam.result import CamResult
from gradflow.diagnose.diagnostic import Annotation, Diagnostic, Help, PathStep, Repair, SourceLine
from gradflow.errors import RenderError
from gradflow.graph.elements import Branch, BranchPath, Cut, Edge, Node
from gradflow.graph.flow_graph import FlowGraph
from gradflow.location import SourceSpan
from gradflow.render.json_report import dumps, report_from_json, report_to_json
from gradflow.report import Environment, GradientStatistics, Report, Score, Target

SCHEMA = json.loads(Path(__file__).parents[3].joinpath("docs/reference/report.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

SPAN = SourceSpan(path="/home/ada/neck.py", line=42, column=20, end_line=43, end_column=37, function="Neck.forward")
REPAIR = Repair(description="remove `.detach()`", verified=True, outcome="the gradient then reaches `layer4`")
UNTRIED = Repair(description="return it", verified=None, outcome="not tried: the line could not be changed")

# every field of every type differs from its default, so that none can be lost unnoticed
DIAGNOSTIC = Diagnostic(
    code="GF101",
    name="detach",
    severity="error",
    message="no gradient reaches `layer4` from class 281",
    location=SPAN,
    label="the value goes on, its gradient does not",
    annotations=(Annotation(span=SPAN, label="last value with a gradient path"),),
    module="neck",
    path=(
        PathStep(
            kind="score", label="score[281]", module="fc", operation="select", shape=(), span=SPAN, is_reached=True
        ),
        PathStep(kind="layer", label="layer4", is_reached=True),
    ),
    notes=("`detach` returns a tensor that autograd does not follow",),
    helps=(
        Help(text="return the value", repair=UNTRIED),
        Help(text="remove `.detach()`", repair=REPAIR),
        Help(text="freeze it"),
    ),
    hides=("layer3", "layer4"),
    source=(SourceLine(path="model.py", line=3, text="    x = x.detach()"),),
)
FLOW = FlowGraph(
    nodes=(
        Node(id="1", kind="operation", name="conv2d", module="layer4", depends_on_layer=True, is_layer=True),
        Node(
            id="2",
            kind="operation",
            name="detach",
            index=7,
            module="neck",
            span=SPAN,
            shape=(1, 512, 7, 7),
            dtype="float32",
            requires_grad=True,
            grad_fn="AddBackward0",
            is_score=True,
            is_layer=True,
            depends_on_layer=True,
            carries_gradient=True,
            reaches_score=True,
            cut="detach",
            size=3,
        ),
    ),
    edges=(
        Edge(source="1", target="2", kind="value", is_cut=True),
        Edge(source="2", target="1", kind="gradient"),
    ),
    cuts=(
        Cut(
            node="2",
            cause="detach",
            operation="Tensor.detach",
            source="1",
            module="neck",
            span=SPAN,
            source_span=SPAN,
            region_span=SPAN,
            needed=False,
        ),
    ),
    branches=(
        Branch(
            fork="1",
            join="2",
            kind="identity skip",
            module="layer4.0",
            paths=(BranchPath(nodes=("1", "2"), is_identity=True, carries_gradient=True, gradient_share=0.25),),
            span=SPAN,
        ),
    ),
    modules=(("", "ResNet"), ("layer4", "Sequential")),
    score="2",
    layer=("1",),
    omitted_count=12,
)
STATISTICS = GradientStatistics(
    name="layer4",
    arrived=True,
    shape=(1, 512, 7, 7),
    l2_norm=0.0123,
    max_abs=0.5,
    entry_count=25088,
    zero_count=4,
    nan_count=3,
    inf_count=2,
)
ENVIRONMENT = Environment(
    torch="2.15.0",
    python="3.11.7",
    gradflow="0.1.0",
    device="cuda:0",
    dtype="float32",
    mode="eval",
    seed=7,
    model="resnet18",
    input="random [1, 3, 224, 224]",
    parameter_count=11,
    operation_count=12,
    module_call_count=13,
    forward_count=2,
    watched="33 operations",
    duration_s=0.25,
)
REPORT = Report(
    verdict="broken",
    target=Target(
        name="layer4",
        kind="parameter",
        type_name="Sequential",
        shape=(1, 512, 7, 7),
        slice="[:, 1:]",
        call_count=2,
    ),
    score=Score(description="score[281]", target=281, class_name="tabby", value=3.25),
    diagnostics=(DIAGNOSTIC,),
    flow=FLOW,
    gradients=(STATISTICS,),
    environment=ENVIRONMENT,
    assumptions=("weights: none, random initialisation",),
    undetermined=("branch shares: the graph is too large",),
)
OTHER = dataclasses.replace(
    REPORT,
    verdict="connected",
    target=Target(name="layer3"),
    diagnostics=(),
    flow=FlowGraph(),
    assumptions=(),
    undetermined=("nothing",),
)
SEVERAL = dataclasses.replace(REPORT, others=(OTHER,))
EMPTY = Report(verdict="connected", target=Target(name="layer4"), score=Score(description="score"))


def cam(saliency: numpy.ndarray) -> CamResult:
    return CamResult(
        method="Grad-CAM",
        layer="layer4",
        target=281,
        saliency=saliency,
        normalised=saliency,
        input_size=(224, 224),
        files=("overlay.png",),
        notes=("the map is zero everywhere",),
    )


def parts(report: Report) -> dict[str, Any]:
    """A report as comparable values: FlowGraph compares by identity."""
    values = {field.name: getattr(report, field.name) for field in dataclasses.fields(report)}
    flow = values.pop("flow")
    values["others"] = [parts(other) for other in values["others"]]
    return values | {f"flow.{name}": getattr(flow, name) for name in FLOW_FIELDS}


FLOW_FIELDS = ("nodes", "edges", "cuts", "branches", "modules", "score", "layer", "omitted_count")


def reread(report: Report) -> Report:
    return report_from_json(json.loads(dumps(report)))


@pytest.mark.parametrize("report", [REPORT, SEVERAL, EMPTY], ids=["full", "several", "empty"])
def test_a_report_survives_the_way_to_json_and_back(report: Report) -> None:
    assert parts(reread(report)) == parts(report)


def test_the_full_report_of_these_tests_leaves_no_field_at_its_default() -> None:
    for value in [REPORT.target, REPORT.score, DIAGNOSTIC, FLOW.nodes[1], FLOW.edges[0], FLOW.cuts[0], FLOW.branches[0],
                  FLOW.branches[0].paths[0], STATISTICS, ENVIRONMENT, SPAN, REPAIR, DIAGNOSTIC.path[0]]:  # fmt: skip
        for field in dataclasses.fields(value):  # type: ignore[arg-type]
            if field.default is not dataclasses.MISSING:
                assert getattr(value, field.name) != field.default, f"{type(value).__name__}.{field.name}"


def test_keys_come_in_the_documented_order() -> None:
    data = report_to_json(SEVERAL)
    assert list(data) == list(SCHEMA["properties"])
    assert list(data["target"]) == ["description", "class_index", "class_name", "value"]
    assert list(data["diagnostics"][0]) == [
        "code", "name", "severity", "message", "module", "location", "label", "annotations", "path", "notes", "helps",
        "source", "repair", "hides",
    ]  # fmt: skip
    assert list(data["diagnostics"][0]["location"]) == [
        "path", "line", "column", "end_line", "end_column", "function",
    ]  # fmt: skip


@pytest.mark.parametrize("report", [REPORT, SEVERAL, EMPTY], ids=["full", "several", "empty"])
def test_a_report_obeys_the_schema(report: Report) -> None:
    VALIDATOR.validate(report_to_json(report))


def test_the_schema_documents_every_key_and_nothing_else() -> None:
    def compare(data: Any, schema: dict[str, Any], where: str) -> None:
        while "$ref" in schema:
            schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
        if "oneOf" in schema:
            schema = next(each for each in schema["oneOf"] if each.get("type") != "null")
            compare(data, schema, where)
        elif isinstance(data, dict):
            assert list(data) == list(schema["properties"]), where
            assert schema["required"] == list(data), where
            for key, value in data.items():
                assert "description" in schema["properties"][key] or "$ref" in schema["properties"][key], (where, key)
                compare(value, schema["properties"][key], f"{where}.{key}")
        elif isinstance(data, list) and data:
            compare(data[0], schema["items"], where)

    full = dataclasses.replace(SEVERAL, cam=cam(numpy.ones((1, 7, 7), numpy.float32)))
    data = report_to_json(full)
    data["graph"]["nodes"].reverse()  # the second node has a span
    compare(data, SCHEMA, "report")


def test_the_schema_itself_is_sound() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("key", "value"), [("verdict", "perhaps"), ("layers", None), ("diagnostics", [{}]), ("schema_version", 1)]
)
def test_the_schema_refuses_what_is_no_report(key: str, value: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(report_to_json(REPORT) | {key: value})


@pytest.mark.parametrize(("number", "text"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")])
def test_numbers_that_json_does_not_have_become_texts(number: float, text: str) -> None:
    report = dataclasses.replace(EMPTY, score=Score(description="score", value=number))
    data = report_to_json(report)
    assert data["target"]["value"] == text
    VALIDATOR.validate(data)
    value = reread(report).score.value
    assert value is not None
    assert repr(value) == repr(number)


def test_of_a_cam_only_a_summary_is_kept() -> None:
    saliency = numpy.array([[[0.0, 2.0], [1.0, 0.5]]], dtype=numpy.float32)
    report = dataclasses.replace(EMPTY, cam=cam(saliency))
    assert report_to_json(report)["cam"] == {
        "method": "Grad-CAM",
        "layer": "layer4",
        "class_index": 281,
        "shape": [1, 2, 2],
        "min": 0.0,
        "max": 2.0,
        "input_size": [224, 224],
        "files": ["overlay.png"],
        "notes": ["the map is zero everywhere"],
    }
    VALIDATOR.validate(report_to_json(report))


def test_a_cam_that_was_read_has_its_words_and_unknown_entries() -> None:
    report = dataclasses.replace(EMPTY, cam=cam(numpy.ones((1, 2, 3), numpy.float32)))
    found = reread(dataclasses.replace(report, others=(report,)))
    for each in (found.cam, found.others[0].cam):
        assert each is not None
        assert (each.method, each.layer, each.target) == ("Grad-CAM", "layer4", 281)
        assert (each.input_size, each.files) == ((224, 224), ("overlay.png",))
        assert each.notes == ("the map is zero everywhere",)
        assert each.saliency.shape == (1, 2, 3)
        assert numpy.isnan(each.saliency).all()
    again = report_to_json(found)["cam"]
    assert (again["shape"], again["min"], again["max"]) == ([1, 2, 3], None, None)


def test_a_cam_without_entries_has_no_extremes() -> None:
    summary = report_to_json(dataclasses.replace(EMPTY, cam=cam(numpy.zeros((0, 7, 7), numpy.float32))))["cam"]
    assert (summary["min"], summary["max"]) == (None, None)


def test_repair_is_the_first_that_worked_and_else_the_first() -> None:
    first = report_to_json(REPORT)["diagnostics"][0]["repair"]
    assert first["description"] == REPAIR.description
    untried = dataclasses.replace(DIAGNOSTIC, helps=DIAGNOSTIC.helps[:1])
    second = report_to_json(dataclasses.replace(REPORT, diagnostics=(untried,)))["diagnostics"][0]["repair"]
    assert second["description"] == UNTRIED.description
    helpless = dataclasses.replace(DIAGNOSTIC, helps=())
    assert report_to_json(dataclasses.replace(REPORT, diagnostics=(helpless,)))["diagnostics"][0]["repair"] is None


def test_layers_lists_every_layer_when_several_were_asked_for() -> None:
    assert report_to_json(REPORT)["layers"] == []
    rows = report_to_json(SEVERAL)["layers"]
    assert [(row["layer"]["name"], row["verdict"]) for row in rows] == [("layer4", "broken"), ("layer3", "connected")]


def test_text_is_stable_ascii_with_one_node_per_line() -> None:
    report = dataclasses.replace(REPORT, score=Score(description="Bär", class_name="熊"))
    text = dumps(report)
    assert text == dumps(report)
    assert text.isascii()
    assert text.endswith("}\n")
    assert reread(report).score.class_name == "熊"
    lines = text.splitlines()
    assert sum('"id": "' in line for line in lines) == len(FLOW.nodes)
    assert '  "verdict": "broken",' in lines
    assert max(len(line) for line in lines if '"id"' not in line) <= 120


def test_keys_of_a_newer_minor_version_are_ignored() -> None:
    data = report_to_json(REPORT) | {"schema_version": "1.9", "weather": "fine"}
    data["environment"]["moon"] = "full"
    assert report_from_json(data).environment == ENVIRONMENT


def test_missing_optional_keys_take_their_default() -> None:
    data = report_to_json(EMPTY)
    for key in ("graph", "gradients", "environment", "assumptions", "undetermined", "layers", "diagnostics", "cam"):
        del data[key]
    assert parts(report_from_json(data)) == parts(EMPTY)


def broken(*path: str | int, value: Any) -> dict[str, Any]:
    data: Any = json.loads(dumps(SEVERAL))
    whole = data
    for key in path[:-1]:
        data = data[key]
    data[path[-1]] = value
    return dict(whole)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "`the whole` should be an object, not []"),
        ({}, "`schema_version` is missing"),
        ({"schema_version": "1.0"}, "`target` is missing"),
        (broken("schema_version", value=1), "`schema_version` should be a text, not 1"),
        (broken("schema_version", value="2.0"), "schema version 2.0, and this gradflow reads 1.0"),
        (broken("verdict", value="perhaps"), "`verdict` should be one of connected, broken, unused"),
        (broken("diagnostics", value={}), "`diagnostics` should be an array"),
        (broken("diagnostics", 0, "code", value=101), "`diagnostics[0].code` should be a text, not 101"),
        (broken("diagnostics", 0, "location", "line", value="x"), "`diagnostics[0].location.line` should be a whole"),
        (broken("diagnostics", 0, "location", value="x"), "`diagnostics[0].location` should be an object"),
        (broken("diagnostics", 0, "location", value={"path": "a"}), "`diagnostics[0].location.line` is missing"),
        (broken("graph", "nodes", 0, "size", value=True), "`graph.nodes[0].size` should be a whole number, not True"),
        (broken("graph", "nodes", 0, "is_layer", value=1), "`graph.nodes[0].is_layer` should be true or false"),
        (broken("graph", "edges", 0, "source", value="9"), "names the node '9'"),
        (broken("graph", "score", value="9"), "names the node '9'"),
        (broken("graph", "modules", value=["fc"]), "`graph.modules[0]` should be an object"),
        (broken("graph", value=None), "`graph` should be an object, not None"),
        (broken("gradients", 0, "l2_norm", value="much"), "`gradients[0].l2_norm` should be a number, not 'much'"),
        (broken("layers", 1, "verdict", value=None), "`layers[1].verdict` should be one of"),
        (broken("assumptions", value=["x" * 99, 5]), "`assumptions[1]` should be a text, not 5"),
        (broken("verdict", value="x" * 99), "not 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."),
    ],
)
def test_what_is_no_report_is_refused_with_the_key_at_fault(data: Any, message: str) -> None:
    with pytest.raises(RenderError) as caught:
        report_from_json(data)
    assert message in caught.value.message


def test_reading_and_writing_need_no_torch() -> None:
    code = "import gradflow.render.json_report, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
