"""Collapsing keeps what matters, and stays small whatever the network."""

from __future__ import annotations

from types import ModuleType

import networkx
import pytest

from gradflow.graph.call_tree import build_call_tree
from gradflow.graph.collapse import READABLE_GROUPS, READABLE_HEIGHT, collapse, outline_for_reading
from gradflow.graph.contract import group_name
from gradflow.graph.flow_graph import FlowGraph
from gradflow.graph.outline import Outline

RESNET152 = (3, 8, 36, 3)


def named(flow: FlowGraph) -> list[str]:
    return [node.name for node in flow if node.kind != "input"]


def kinds(outline: Outline) -> dict[str, str]:
    return {group_name(group): group.kind for group in outline.groups}


def test_depth_one_has_one_node_per_child(networks: ModuleType) -> None:
    flow = collapse(networks.resnet(layer="layer2"), depth=1)
    children = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool"]
    assert named(flow) == [*children, "flatten", "fc", "Tensor.__getitem__"]
    layer3 = next(node for node in flow if node.name == "layer3")
    assert (layer3.kind, layer3.module, layer3.size) == ("module", "", 6 * 10 + 2)
    assert layer3.is_on_path


def test_depth_two_nests_names(networks: ModuleType) -> None:
    flow = collapse(networks.resnet((1, 1, 1, 2)), depth=2)
    block = next(node for node in flow if node.name == "layer4.1")
    assert block.module == "layer4"
    assert "layer4" not in named(flow)


def test_a_large_depth_only_wraps_leaf_modules(networks: ModuleType) -> None:
    original = networks.resnet((1, 1, 1, 1))
    flow = collapse(original, depth=99)
    assert sum(node.size for node in flow if node.kind != "input") == sum(
        n.kind == "operation" for n in original
    ) + sum(node.kind == "parameter" for node in flow)


@pytest.mark.parametrize("depth", [None, 1, 2, 3])
def test_what_is_true_of_the_graph_stays_true(networks: ModuleType, depth: int | None) -> None:
    for original in (
        networks.resnet(layer="layer2"),
        networks.resnet(layer="layer2", detach_before="layer3.1"),
        networks.loop(30),
        networks.loop(30, layer="cell"),
        networks.dense(12),
        networks.numpy_roundtrip(),
    ):
        flow = collapse(original, depth=depth)
        assert flow.score in flow
        assert all(layer in flow for layer in flow.layer)
        assert flow.reaches(flow.score, flow.layer[0]) == original.reaches(original.score, original.layer[0])
        assert len(flow.cuts) == len(original.cuts)
        assert all(cut.node in flow for cut in flow.cuts)
        assert {node.id for node in flow if node.is_score} == {flow.score}


@pytest.mark.parametrize("depth", [None, 1, 2, 3])
def test_no_cycles_also_where_a_module_runs_many_times(networks: ModuleType, depth: int | None) -> None:
    for original in (networks.loop(30), networks.resnet((2, 2)), networks.dense(9)):
        graph = networkx.DiGraph(
            (e.source, e.target) for e in collapse(original, depth=depth).edges if e.kind == "value"
        )
        assert networkx.is_directed_acyclic_graph(graph)


def test_collapsing_twice_changes_nothing(networks: ModuleType) -> None:
    once = collapse(networks.resnet(), depth=1)
    assert named(collapse(once, depth=1)) == named(once)


def test_branches_between_visible_nodes_are_kept(networks: ModuleType) -> None:
    flow = collapse(networks.resnet((2, 2), layer="layer1.0"), depth=2)
    assert flow.branches == ()  # each lies within one block
    flow = collapse(networks.resnet((2, 2), layer="layer1.0"), depth=3)
    (skip,) = [branch for branch in flow.branches if branch.kind == "identity skip" and branch.module == "layer1.1"]
    assert [path.is_identity for path in skip.paths] == [False, True]
    assert all(node in flow for path in skip.paths for node in (*path.nodes, skip.fork, skip.join))


def test_depth_below_one_is_refused(networks: ModuleType) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        collapse(networks.plain_chain(3), depth=0)


def test_the_empty_graph() -> None:
    assert len(collapse(FlowGraph())) == 0
    assert len(collapse(FlowGraph(), depth=1)) == 0


def test_resnet152_for_reading(networks: ModuleType) -> None:
    outline = outline_for_reading(networks.resnet(RESNET152, layer="layer4.2.conv3"), layer_name="layer4.2.conv3")
    assert kinds(outline) == {
        "conv1 … layer4.2.relu (call 2)": "before",
        "layer4.2.conv3": "module",
        "layer4.2.bn3": "module",
        "layer4.2": "operation",
        "layer4.2.relu (call 3)": "module",
        "avgpool": "module",
        "": "operation",
        "fc": "module",
    }


def test_like_blocks_become_one_stack_and_the_first_which_differs_does_not(networks: ModuleType) -> None:
    outline = outline_for_reading(networks.resnet(RESNET152, layer="layer1"), layer_name="layer1")
    assert kinds(outline)["layer3.1 … layer3.35"] == "stack"
    assert kinds(outline)["layer3.0"] == "module"


def test_stages_with_names_are_no_stack(networks: ModuleType) -> None:
    outline = outline_for_reading(networks.resnet((2, 2, 2, 2), layer="conv1"), layer_name="conv1")
    assert "stack" not in kinds(outline).values()


def test_the_target_module_is_one_group(networks: ModuleType) -> None:
    outline = outline_for_reading(networks.resnet(layer="layer3"), layer_name="layer3")
    (layer,) = [group for group in outline.groups if any(node.is_layer for node in outline.nodes(group))]
    assert (group_name(layer), layer.size) == ("layer3", 62)


def test_a_cut_is_visible_as_the_very_operation(networks: ModuleType) -> None:
    outline = outline_for_reading(
        networks.resnet(RESNET152, layer="layer1", detach_before="layer3.17"), layer_name="layer1"
    )
    (cut,) = [group for group in outline.groups if any(node.cut for node in outline.nodes(group))]
    assert (cut.kind, cut.size) == ("operation", 1)
    neighbours = [group_name(group) for group in outline.groups if abs(group.start - cut.start) <= 400]
    assert "layer3.1 … layer3.16" in neighbours
    assert "layer3.17 … layer3.35" in neighbours


def test_the_join_of_a_half_cut_branch_is_visible(networks: ModuleType) -> None:
    flow = networks.resnet(RESNET152, layer="layer1", detached_skip="layer3.17")
    outline = outline_for_reading(flow, layer_name="layer1")
    (branch,) = [b for b in flow.branches if len({path.carries_gradient for path in b.paths}) == 2]
    place = outline.group_of(branch.join)
    assert place is not None
    assert outline.groups[place].kind == "operation"


@pytest.mark.parametrize(
    ("network", "options"),
    [
        ("resnet", {"blocks": (3, 8, 36, 3), "layer": "conv1"}),
        ("resnet", {"blocks": (40, 40, 40, 40), "layer": "layer1.0.conv1"}),
        ("resnet", {"blocks": (3, 8, 36, 3), "layer": "layer1", "detach_before": "layer2.3"}),
        ("loop", {"steps": 1000}),
        ("loop", {"steps": 1000, "layer": "cell"}),
        ("dense", {"layers": 60}),
        ("plain_chain", {"length": 3000}),
        ("plain_chain", {"length": 3000, "detach_at": 1500}),
    ],
)
def test_every_network_becomes_readable(networks: ModuleType, network: str, options: dict) -> None:
    outline = outline_for_reading(getattr(networks, network)(**options))
    assert 3 <= len(outline.groups) <= READABLE_GROUPS
    assert outline.height <= READABLE_HEIGHT
    assert outline.link_span <= 100  # Graphviz takes seconds from some 8,000 on


def test_many_cuts_at_one_line_are_shown_once(networks: ModuleType) -> None:
    run = networks.Run()
    first = value = run.op("sin", [run.leaf("input", "x")])
    for _ in range(300):
        value = run.op("Tensor.add", [run.op("Tensor.detach", [first], line=5), value])
    outline = outline_for_reading(run.graph(value, [first]))
    assert len(outline.groups) <= READABLE_GROUPS


def test_what_takes_no_part_is_left_out_and_counted(networks: ModuleType) -> None:
    run = networks.Run()
    first = run.op("sin", [run.leaf("input", "x")])
    unrelated = run.op("ones", [])
    run.op("relu", [unrelated])
    outline = outline_for_reading(run.graph(run.op("cos", [first]), [first]))
    assert outline.left_out_count == 2


def test_links_say_what_they_carry(networks: ModuleType) -> None:
    outline = outline_for_reading(networks.plain_chain(3, detach_at=1))
    found = [(link.carries_gradient, link.is_cut) for link in outline.links]
    assert found == [(True, False), (False, True), (False, False)]


def test_calls_of_a_module_are_told_apart(networks: ModuleType) -> None:
    tree = build_call_tree(networks.loop(3))
    calls = [part.call for part in tree.root.parts if part.module == "cell"]
    assert calls == [1, 2, 3]
    assert all(part.size == 4 for part in tree.root.parts if part.module == "cell")


def test_modules_nested_a_thousand_deep(networks: ModuleType) -> None:
    run = networks.Run()
    name = ".".join(["a"] * 1000)
    first = run.op("sin", [run.leaf("input", "x")], name)
    flow = run.graph(run.op("cos", [first], name), [first])
    assert len(outline_for_reading(flow).groups) == 1  # frames forty deep are enough for anyone
    assert named(collapse(flow, depth=2000)) == ["sin", "cos"]


def test_frozen_parameters_are_counted_per_group(networks: ModuleType) -> None:
    outline = outline_for_reading(networks.resnet((1, 1, 1, 1), layer="layer1", frozen=["layer3"]), layer_name="layer1")
    frozen = {group_name(g): counts for g, counts in zip(outline.groups, outline.frozen_counts, strict=True)}
    assert frozen["layer2.0" if "layer2.0" in frozen else "layer2"][0] == 0
    name = "layer3.0" if "layer3.0" in frozen else "layer3"
    assert frozen[name] == (8, 8)
