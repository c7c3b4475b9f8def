from __future__ import annotations

import sys
from itertools import pairwise

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradflow.graph.elements import Cut, Edge, Node
from gradflow.graph.flow_graph import FlowGraph
from gradflow.location import SourceSpan


def make(
    values: list[tuple[str, str]], cut: set[tuple[str, str]] = frozenset(), layer: tuple[str, ...] = ("layer",)
) -> FlowGraph:
    """A graph from value edges (producer, consumer) with "score" at its end; those not cut have a gradient edge too."""
    names = dict.fromkeys(name for edge in values for name in edge)
    edges = [Edge(source=a, target=b, kind="value", is_cut=(a, b) in cut) for a, b in values]
    edges += [Edge(source=b, target=a, kind="gradient") for a, b in values if (a, b) not in cut]
    nodes = [Node(id=name, kind="operation", name=name, index=index) for index, name in enumerate(names)]
    return FlowGraph(nodes=nodes, edges=edges, score="score", layer=layer)


def ids(graph: FlowGraph) -> list[str]:
    return [node.id for node in graph.path()]


def test_is_a_collection_of_nodes() -> None:
    graph = make([("layer", "relu"), ("relu", "score")])
    assert len(graph) == 3
    assert [node.id for node in graph] == ["layer", "relu", "score"]
    assert graph["relu"].index == 1
    assert "relu" in graph
    assert "gelu" not in graph
    with pytest.raises(KeyError):
        graph["gelu"]
    assert repr(graph) == "<FlowGraph: 3 nodes, 4 edges, 0 cuts>"


def test_empty_graph() -> None:
    graph = FlowGraph()
    assert len(graph) == 0
    assert graph.path() == ()
    assert graph.networkx.number_of_nodes() == 0


def test_reaches_along_gradient_edges_only() -> None:
    graph = make([("layer", "detach"), ("detach", "score")], cut={("layer", "detach")})
    assert graph.reaches("score", "detach")
    assert not graph.reaches("score", "layer")
    assert not graph.reaches("layer", "score")


def test_path_runs_from_score_to_layer_and_is_the_shortest() -> None:
    graph = make([("layer", "a"), ("a", "b"), ("b", "score"), ("layer", "c"), ("c", "score")])
    assert ids(graph) == ["score", "c", "layer"]


def test_path_prefers_the_gradient_to_a_shorter_way_of_data() -> None:
    graph = make(
        [("layer", "a"), ("a", "b"), ("b", "score"), ("layer", "detach"), ("detach", "score")],
        cut={("layer", "detach")},
    )
    assert ids(graph) == ["score", "b", "a", "layer"]


def test_path_of_data_when_the_gradient_is_cut() -> None:
    graph = make([("layer", "detach"), ("detach", "score")], cut={("layer", "detach")})
    assert ids(graph) == ["score", "detach", "layer"]


def test_no_path_when_the_score_does_not_depend_on_the_layer() -> None:
    assert ids(make([("layer", "unused"), ("input", "score")])) == []


def test_path_to_the_last_call_of_the_layer_that_is_reached() -> None:
    graph = make(
        [("first", "a"), ("a", "score"), ("second", "detach"), ("detach", "score")],
        cut={("second", "detach")},
        layer=("first", "second"),
    )
    assert ids(graph) == ["score", "a", "first"]


def test_score_that_is_the_layer() -> None:
    graph = make([("input", "score")], layer=("score",))
    assert ids(graph) == ["score"]


def test_a_path_of_a_hundred_thousand_operations() -> None:
    count = 100_000
    names = ["layer", *(f"op{number}" for number in range(count)), "score"]
    assert len(make(list(pairwise(names))).path()) == count + 2


def test_networkx_holds_everything_and_is_frozen() -> None:
    span = SourceSpan(path="net.py", line=3, column=5)
    cut = Cut(node="b", cause="detach", operation="Tensor.detach", source="a")
    graph = FlowGraph(
        nodes=[
            Node(id="a", kind="operation", name="relu", span=span, shape=(1, 2)),
            Node(id="b", kind="exit", name="x"),
        ],
        edges=[
            Edge(source="a", target="b", kind="value", is_cut=True),
            Edge(source="b", target="a", kind="gradient"),
        ],
        cuts=[cut],
        score="b",
        layer=["a"],
    )
    found = graph.networkx
    assert isinstance(found, networkx.MultiDiGraph)
    assert found.graph["score"] == "b"
    assert found.graph["layer"] == ("a",)
    assert found.graph["cuts"] == (cut,)
    assert found.nodes["a"]["span"] is span
    assert found.nodes["a"]["shape"] == (1, 2)
    assert found.edges["a", "b", "value"]["is_cut"]
    assert not found.edges["b", "a", "gradient"]["is_cut"]
    assert graph.networkx is found
    with pytest.raises(networkx.NetworkXError):
        found.add_node("c")


def test_networkx_is_not_imported_for_the_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "networkx", None)
    graph = make([("layer", "score")])
    assert graph.reaches("score", "layer")
    assert len(graph.path()) == 2
    with pytest.raises(ImportError):
        _ = graph.networkx


@st.composite
def graphs(draw: st.DrawFn) -> FlowGraph:
    count = draw(st.integers(2, 12))
    names = ["layer", *(str(number) for number in range(1, count - 1)), "score"]
    values = [
        (names[before], names[after])
        for after in range(1, count)
        for before in sorted(draw(st.sets(st.integers(0, after - 1), max_size=3)))
    ]
    cut = {edge for edge in values if draw(st.booleans())}
    return make([*values, ("layer", "sink"), ("other", "score")], cut)


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_agrees_with_networkx(graph: FlowGraph) -> None:
    kinds = {"gradient": networkx.DiGraph(), "value": networkx.DiGraph()}
    for kind, reference in kinds.items():
        reference.add_nodes_from(node.id for node in graph)
        reference.add_edges_from((edge.source, edge.target) for edge in graph.edges if edge.kind == kind)
    for node in graph:
        assert graph.reaches("score", node.id) == networkx.has_path(kinds["gradient"], "score", node.id)
    data = kinds["value"].reverse()
    expected = next(
        (networkx.shortest_path_length(each, "score", "layer") + 1
         for each in (kinds["gradient"], data) if networkx.has_path(each, "score", "layer")),
        0,
    )  # fmt: skip
    assert len(graph.path()) == expected
    way = kinds["gradient"] if graph.reaches("score", "layer") else data
    assert all(way.has_edge(one, other) for one, other in pairwise(ids(graph)))
