from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from gradflow.graph.repair_set import smallest_repair

Graph = dict[int, list[int]]


def connected(inputs: Graph, cuts: dict[tuple[int, int], str], mended: set[str]) -> bool:
    seen, waiting = {max(inputs)}, [max(inputs)]
    while waiting:
        here = waiting.pop()
        for producer in inputs[here]:
            cut = cuts.get((producer, here))
            if producer not in seen and (cut is None or cut in mended):
                seen.add(producer)
                waiting.append(producer)
    return 0 in seen


def repair(inputs: Graph, cuts: dict[tuple[int, int], str]) -> tuple[str, ...] | None:
    return smallest_repair([0], max(inputs), inputs, lambda producer, consumer: cuts.get((producer, consumer)))


def test_nothing_to_mend() -> None:
    assert repair({0: [], 1: [0], 2: [1, 0]}, {(0, 1): "a"}) == ()


def test_no_way_at_all() -> None:
    assert repair({0: [], 1: [], 2: [1]}, {}) is None


def test_one_cut_of_several_in_a_row_from_score_to_layer() -> None:
    assert repair({0: [], 1: [0], 2: [1], 3: [2]}, {(0, 1): "late", (2, 3): "early"}) == ("early", "late")


def test_takes_the_way_with_fewer_cuts_though_it_is_longer() -> None:
    inputs = {0: [], 1: [0], 2: [0], 3: [2], 4: [3], 5: [1, 4]}
    assert repair(inputs, {(0, 1): "a", (1, 5): "b", (3, 4): "c"}) == ("c",)


def test_a_region_counts_once() -> None:
    inputs = {0: [], 1: [0], 2: [1], 3: [2], 4: [0], 5: [4], 6: [3, 5]}
    cuts = {(0, 1): "region", (1, 2): "region", (2, 3): "region", (0, 4): "x", (4, 5): "y"}
    assert repair(inputs, cuts) == ("region",)


def test_the_nearest_of_several_calls_of_the_layer() -> None:
    inputs = {0: [], 1: [0], 2: [1], 3: [2]}
    assert smallest_repair([0, 2], 3, inputs, lambda producer, _: "cut" if producer == 1 else None) == ()


@st.composite
def graphs(draw: st.DrawFn, same_cut: bool) -> tuple[Graph, dict[tuple[int, int], str]]:
    count = draw(st.integers(2, 9))
    inputs: Graph = {0: []}
    for node in range(1, count):
        inputs[node] = sorted(draw(st.sets(st.integers(0, node - 1), max_size=3)))
    cuts = {}
    for node, producers in inputs.items():
        for producer in producers:
            if draw(st.booleans()):
                cuts[producer, node] = draw(st.sampled_from("abcd")) if same_cut else f"{producer}-{node}"
    return inputs, cuts


@given(graphs(same_cut=False))
@settings(max_examples=200, deadline=None)
def test_smallest_where_each_cut_is_on_one_edge(graph: tuple[Graph, dict[tuple[int, int], str]]) -> None:
    inputs, cuts = graph
    found = repair(inputs, cuts)
    everything = sorted(set(cuts.values()))
    if found is None:
        assert not connected(inputs, cuts, set(everything))
        return
    assert connected(inputs, cuts, set(found))
    for smaller in combinations(everything, max(0, len(found) - 1)):
        assert not found or not connected(inputs, cuts, set(smaller))


@given(graphs(same_cut=True))
@settings(max_examples=200, deadline=None)
def test_enough_and_nothing_superfluous_with_groups(graph: tuple[Graph, dict[tuple[int, int], str]]) -> None:
    inputs, cuts = graph
    found = repair(inputs, cuts)
    if found is None:
        assert not connected(inputs, cuts, set(cuts.values()))
        return
    assert connected(inputs, cuts, set(found))
    assert all(not connected(inputs, cuts, set(found) - {cut}) for cut in found)


def test_a_long_chain_is_quick() -> None:
    inputs: Graph = {0: []} | {node: [node - 1] for node in range(1, 100_000)}
    cuts = {(node - 1, node): "region" for node in range(1, 100_000, 7)}
    assert repair(inputs, cuts) == ("region",)


def test_ten_thousand_cuts_in_a_row() -> None:
    inputs: Graph = {0: []} | {node: [node - 1] for node in range(1, 10_000)}
    found = repair(inputs, {(node - 1, node): f"detach {node}" for node in range(1, 10_000)})
    assert found is not None
    assert len(found) == 9_999
    assert found[0] == "detach 9999"
