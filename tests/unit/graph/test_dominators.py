from __future__ import annotations

import time

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradflow.graph.dominators import immediate_dominators, immediate_post_dominators


@st.composite
def acyclic_graphs(draw: st.DrawFn) -> list[list[int]]:
    """Predecessor lists in topological order; some nodes may be out of the source's reach."""
    count = draw(st.integers(1, 24))
    return [draw(st.lists(st.integers(0, node - 1), max_size=4)) if node else [] for node in range(count)]


def reference(predecessors: list[list[int]]) -> list[int]:
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(len(predecessors)))
    graph.add_edges_from((before, node) for node, befores in enumerate(predecessors) for before in befores)
    found = networkx.immediate_dominators(graph, 0)
    return [0] + [found.get(node, -1) for node in range(1, len(predecessors))]


@given(acyclic_graphs())
@settings(max_examples=300, deadline=None)
def test_equals_networkx_on_random_graphs(predecessors: list[list[int]]) -> None:
    assert immediate_dominators(len(predecessors), predecessors) == reference(predecessors)


@given(acyclic_graphs())
@settings(max_examples=150, deadline=None)
def test_post_dominators_are_dominators_of_the_reversed_graph(predecessors: list[list[int]]) -> None:
    last = len(predecessors) - 1
    successors = [[last - node for node in predecessors[last - here]] for here in range(len(predecessors))]
    expected = [last - node if node >= 0 else -1 for node in reversed(reference(predecessors))]
    assert immediate_post_dominators(len(successors), successors) == expected


@pytest.mark.parametrize("count", [0, 1])
def test_tiny_graphs(count: int) -> None:
    assert immediate_dominators(count, [[]] * count) == [0] * count
    assert immediate_post_dominators(count, [[]] * count) == [0] * count


def test_a_diamond_is_dominated_by_its_fork() -> None:
    assert immediate_dominators(5, [[], [0], [1], [1], [2, 3]]) == [0, 0, 1, 1, 1]
    assert immediate_post_dominators(5, [[1], [2, 3], [4], [4], []]) == [1, 4, 4, 4, 4]


def test_the_part_out_of_reach_does_not_count() -> None:
    assert immediate_dominators(4, [[], [], [0, 1], [1]]) == [0, -1, 0, -1]


def ladder(rung_count: int) -> list[list[int]]:
    """Two streams that both read both streams at every step: every rung is dominated by the source alone."""
    predecessors: list[list[int]] = [[], [0], [0]]
    for rung in range(1, rung_count):
        left, right = 2 * rung - 1, 2 * rung
        predecessors += [[left, right], [right, left]]
    return predecessors


def chains(length: int) -> list[list[int]]:
    """Two long chains with a bridge near the end: the worst case of walking up one step at a time."""
    predecessors: list[list[int]] = [[], [0], [0]] + [[node - 2] for node in range(3, length)]
    predecessors += [[length - 2, length - 1]] * length
    return predecessors


@pytest.mark.parametrize("shape", [ladder, chains])
def test_adversarial_graphs_are_near_linear(shape: object) -> None:
    def steps(size: int) -> float:
        predecessors = shape(size)  # type: ignore[operator]
        started = time.process_time()
        immediate_dominators(len(predecessors), predecessors)
        return time.process_time() - started

    small = min(steps(2_000) for _ in range(3))
    large = min(steps(32_000) for _ in range(2))
    # 16 times the size: a quadratic method takes 256 times as long
    assert large < 90 * max(small, 1e-3)
