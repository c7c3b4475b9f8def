"""Drawings show the path, the cuts, skips and frozen parts, in words as well as in looks, and always the same way."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.errors import RenderError
from gradflow.graph.flow_graph import FlowGraph
from gradflow.render.drawing import render_bytes, render_dot, render_svg
from gradflow.report import Environment, GradientStatistics, Report, Score, Target, Verdict

SVG = "{http://www.w3.org/2000/svg}"
RESNET152 = (3, 8, 36, 3)


def report(flow: FlowGraph, layer: str, verdict: Verdict = "connected", **fields: object) -> Report:
    return Report(
        verdict=verdict,
        target=Target(name=layer, type_name="Sequential", shape=(1, 8), call_count=1),
        score=Score(description="score[281]", target=281, class_name="tabby", value=7.25),
        flow=flow,
        environment=Environment(model="resnet"),
        **fields,  # type: ignore[arg-type]
    )


def groups(svg: str, kind: str) -> dict[str, ElementTree.Element]:
    """The groups of one class by the text they show."""
    root = ElementTree.fromstring(svg)
    return {
        " / ".join(_text(text) for text in group.iter(f"{SVG}text")): group
        for group in root.iter(f"{SVG}g")
        if kind in group.get("class", "").split()
    }


def texts(svg: str) -> list[str]:
    return [_text(text) for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def _text(element: ElementTree.Element) -> str:
    return "".join(element.itertext()).replace("\u00a0", " ").strip()


@pytest.fixture(scope="module")
def connected(networks: ModuleType) -> str:
    gradient = GradientStatistics(name="layer1", arrived=True, l2_norm=0.0123)
    return render_svg(report(networks.resnet(RESNET152, layer="layer1"), "layer1", gradients=(gradient,)))


@pytest.fixture(scope="module")
def broken(networks: ModuleType) -> str:
    flow = networks.resnet(layer="layer1", detach_before="layer3.2", frozen=["layer4"])
    return render_svg(report(flow, "layer1", "broken"))


@pytest.fixture(scope="module")
def half_cut(networks: ModuleType) -> str:
    return render_svg(report(networks.resnet(layer="layer2", detached_skip="layer3.2"), "layer2", "wrong"))


def test_the_verdict_is_the_headline(connected: str, broken: str) -> None:
    assert texts(connected)[0] == "✓ connected: a gradient reaches layer1 from score[281] (tabby)"
    assert "gradient at layer1: L2 norm 0.0123" in texts(connected)
    assert texts(broken)[0].startswith("✗ broken: no gradient reaches layer1")
    assert "✂ detach: Tensor.detach at models/net.py:42" in texts(broken)


def test_layer_and_score_are_anchored_in_words(connected: str) -> None:
    (layer,) = groups(connected, "layer")
    assert layer == "layer1  Sequential / target layer  [1, 8] float32"
    (score,) = groups(connected, "score")
    assert score == "score[281]  tabby / the score = 7.25"


def test_the_target_has_a_double_border(connected: str) -> None:
    (layer,) = groups(connected, "layer").values()
    (score,) = groups(connected, "score").values()
    assert len(layer.findall(f"{SVG}polygon")) == 2
    assert len(score.findall(f"{SVG}polygon")) + len(score.findall(f"{SVG}path")) == 1


def test_resnet152_fits_a_screen(connected: str) -> None:
    root = ElementTree.fromstring(connected)
    width, height = (float(root.get(side, "").removesuffix("pt")) for side in ("width", "height"))
    assert width < 800
    assert height < 900
    assert "max-height:100vh" in connected


def test_repeated_blocks_are_one_box_with_their_skips(connected: str) -> None:
    assert "1 … 35  35 × Bottleneck  ↷ 35 skips" in groups(connected, "path")


def test_modules_are_nested_frames(broken: str) -> None:
    frames = [name.split("  ")[0] for name in groups(broken, "module")]
    assert "layer3" in frames


def test_a_cut_shows_operation_and_line_and_its_edge_is_marked(broken: str) -> None:
    (cut,) = [name for name in groups(broken, "cut") if name.startswith("Tensor.detach")]
    assert cut == "Tensor.detach / ✂ detach  models/net.py:42"
    assert "✂ gradient stops" in groups(broken, "cut")


def test_no_line_carries_gradient_past_a_cut(broken: str) -> None:
    kinds = {kind for group in groups_of_edges(broken) for kind in group.get("class", "").split()[1:]}
    assert kinds == {"idle", "cut", "data", "context"}


def groups_of_edges(svg: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(svg)
    return [group for group in root.iter(f"{SVG}g") if group.get("class", "").split()[:1] == ["edge"]]


def test_kinds_of_lines_differ_in_more_than_colour(half_cut: str) -> None:
    looks: dict[tuple[str, ...], set[str]] = {}
    for edge in groups_of_edges(half_cut):
        path = edge.find(f"{SVG}path")
        assert path is not None
        heads = len(edge.findall(f"{SVG}polygon"))
        look = (path.get("stroke-width", "1"), path.get("stroke-dasharray", ""), str(heads))
        looks.setdefault(look, set()).add(edge.get("class", "").split()[1])
    assert all(len(kinds) == 1 for kinds in looks.values())
    assert {kind for kinds in looks.values() for kind in kinds} == {"gradient", "cut", "data", "context"}


def test_a_skip_without_gradient_says_so(half_cut: str) -> None:
    assert "✂ skip carries no gradient" in texts(half_cut)
    assert "skip without gradient" in texts(half_cut)


def test_a_visible_skip_shows_its_share_of_the_gradient(networks: ModuleType) -> None:
    svg = render_svg(report(networks.resnet((2,), layer="layer1.0"), "layer1.0"))
    assert "↷ skip 60% of the gradient" in texts(svg)


def test_frozen_parts_are_named_and_dashed(broken: str) -> None:
    frozen = {name: group for name, group in groups(broken, "node").items() if "❄ frozen" in name}
    assert frozen
    for group in frozen.values():
        shape = group.find(f"{SVG}polygon")
        assert shape is not None
        assert shape.get("stroke-dasharray")


def test_the_legend_explains_what_occurs_and_nothing_else(connected: str, broken: str) -> None:
    assert any(text.endswith("frozen parameters; a gradient still passes through") for text in texts(broken))
    assert not any("frozen" in text for text in texts(connected))
    assert any("cut: data goes on, its gradient stops" in text for text in texts(broken))
    assert not any("cut:" in text for text in texts(connected))
    assert any("several like modules" in text for text in texts(connected))


def test_a_value_that_leaves_torch(networks: ModuleType) -> None:
    svg = render_svg(report(networks.numpy_roundtrip(), "conv", "broken"))
    assert "Tensor.numpy  exit / a value leaves torch" in groups(svg, "node")
    (cut,) = [name for name in groups(svg, "node") if name.startswith("from_numpy")]
    assert "✂ numpy-roundtrip  models/net.py:9" in cut
    assert "a value comes back into torch" in cut


def test_a_parameter_as_target(networks: ModuleType) -> None:
    made = report(networks.weight_target(), "conv.weight")
    made = Report(
        verdict="connected",
        target=Target(name="conv.weight", kind="parameter"),
        score=made.score,
        flow=made.flow,
    )
    assert "weight  parameter / target parameter  [8, 8]" in groups(render_svg(made), "layer")


def test_a_finding_that_is_no_cut_is_marked_at_its_operation(networks: ModuleType) -> None:
    flow = networks.plain_chain(5)
    culprit = flow.nodes[3]
    finding = Diagnostic(
        code="GF402", name="zero-derivative-op", severity="error", message="zero", location=culprit.span
    )
    svg = render_svg(report(flow, "sin", "zero", diagnostics=(finding,)))
    assert f"cos / ✗ zero-derivative-op  models/net.py:{culprit.span.line}" in groups(svg, "finding")


def test_a_layer_that_never_ran_stands_alone(networks: ModuleType) -> None:
    svg = render_svg(report(networks.resnet(layer="aux"), "aux", "unused"))
    assert "aux  Sequential / target layer: took no part in this run" in groups(svg, "missing")
    assert any(name.startswith("layer3") for name in groups(svg, "before"))


def test_a_layer_whose_output_is_not_used(networks: ModuleType) -> None:
    svg = render_svg(report(networks.discarded_output(), "aux", "unused"))
    assert len(groups(svg, "layer")) == 1
    assert "relu" in groups(svg, "unused")
    assert any("not used by the score" in text for text in texts(svg))


def test_a_report_without_graph() -> None:
    svg = render_svg(report(FlowGraph(), "layer4", "error"))
    assert "there is no graph to draw: the run was not recorded" in texts(svg)


def test_readable_in_dark(connected: str, broken: str) -> None:
    for svg in (connected, broken):
        style = ElementTree.fromstring(svg).findtext(f"{SVG}style") or ""
        assert "@media (prefers-color-scheme:dark)" in style
        used = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})"', svg))
        assert used
        for colour in used:
            assert f"='{colour}']" in style, "a colour without a dark counterpart"
        named = set(re.findall(r'(?:fill|stroke)="([a-z]+)"', svg))
        assert named <= {"none", "transparent"}


def test_accessible_and_searchable(broken: str) -> None:
    root = ElementTree.fromstring(broken)
    assert root.get("role") == "img"
    assert (root.findtext(f"{SVG}title") or "").startswith("broken: no gradient reaches layer1")
    assert "✂ detach" in (root.findtext(f"{SVG}desc") or "")
    assert root.get("viewBox")
    assert not list(root.iter(f"{SVG}image"))


def test_tooltips_hold_full_names_and_places(connected: str) -> None:
    (stack,) = [group for name, group in groups(connected, "path").items() if name.startswith("1 … 35")]
    assert (stack.findtext(f"{SVG}title") or "").splitlines() == [
        "layer3.1 … layer3.35 (Bottleneck)",
        "350 operations",
        "output [1, 8] float32",
        "models/net.py:" + (stack.findtext(f"{SVG}title") or "").rpartition(":")[2],
    ]


def test_nothing_of_this_machine_or_of_graphviz_is_in_the_file(connected: str, broken: str) -> None:
    for svg in (connected, broken):
        assert "/home/" not in svg
        assert "graphviz version" not in svg
        assert "<!--" not in svg
        assert ' id="' not in svg


def test_text_of_a_model_cannot_break_the_drawing(networks: ModuleType) -> None:
    nasty = '</title><script>alert(1)</script>"\\n\x00&amp;' + "é" * 200
    run = networks.Run(modules={nasty.replace(".", ""): nasty})
    first = run.op(nasty, [run.leaf("input", nasty)], "m")
    flow = run.graph(run.op("a -> b", [first]), [first])
    svg = render_svg(report(flow, nasty, diagnostics=()))
    root = ElementTree.fromstring(svg)
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    assert "\x00" not in svg


RENDER_TWICE = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("example_networks", sys.argv[1])
networks = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = networks
spec.loader.exec_module(networks)
from gradflow.render.drawing import render_svg
from gradflow.report import Report, Score, Target
flow = networks.resnet(layer="layer2", detached_skip="layer3.2", frozen=["layer4"])
report = Report(verdict="wrong", target=Target(name="layer2"), score=Score(description="score[1]"), flow=flow)
sys.stdout.buffer.write(render_svg(report).encode())
assert "torch" not in sys.modules
"""


def test_identical_bytes_in_every_process() -> None:
    networks_file = str(Path(__file__).parents[1] / "example_networks.py")
    made = [
        subprocess.run(
            [sys.executable, "-c", RENDER_TWICE, networks_file],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert made[0] == made[1]
    assert len(made[0]) > 5000


@pytest.mark.parametrize(("output_format", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<svg")])
def test_other_formats(networks: ModuleType, output_format: str, start: bytes) -> None:
    assert render_bytes(report(networks.plain_chain(3), "sin"), output_format).startswith(start)


def test_an_unknown_format_is_refused(networks: ModuleType) -> None:
    with pytest.raises(RenderError, match="cannot be drawn as `gif`"):
        render_bytes(report(networks.plain_chain(3), "sin"), "gif")


def test_dot_of_a_detached_chain(networks: ModuleType, snapshot_text: Callable[[str, str], None]) -> None:
    snapshot_text(
        "drawing/detached_chain.dot", render_dot(report(networks.plain_chain(4, detach_at=2), "sin", "broken"))
    )


def test_dot_of_a_numpy_roundtrip(networks: ModuleType, snapshot_text: Callable[[str, str], None]) -> None:
    snapshot_text("drawing/numpy_roundtrip.dot", render_dot(report(networks.numpy_roundtrip(), "conv", "broken")))
