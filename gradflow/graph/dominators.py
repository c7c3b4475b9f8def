"""Dominators of a directed acyclic graph: which nodes every way to (or from) a node passes through.

In an acyclic graph whose nodes are numbered in topological order, the immediate dominator of a node is the lowest
common ancestor, in the dominator tree built so far, of its predecessors (Cooper, Harvey and Kennedy, "A Simple, Fast
Dominance Algorithm", 2001, which needs a single pass there). Their walk up the tree is quadratic on two streams that
exchange values at every step; the ancestors are therefore found with the jump pointers of Myers, "An Applicative
Random-Access Stack", Information Processing Letters 17(5), 1983: O(E log V) on every graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["immediate_dominators", "immediate_post_dominators"]


def immediate_dominators(count: int, predecessors: Sequence[Iterable[int]]) -> list[int]:
    """The immediate dominator of every node: the last node that all ways from the source to it have in common.

    Parameters
    ----------
    count
        Number of nodes, numbered 0 .. ``count - 1`` in topological order; node 0 is the source.
    predecessors
        For each node, the nodes with an edge to it, all with a smaller number. Repetitions are harmless.

    Returns
    -------
    list[int]
        ``count`` node numbers; 0 for the source itself, -1 for nodes that the source does not reach.
    """
    parent = [-1] * count
    depth = [0] * count
    jump = [0] * count
    if count:
        parent[0] = 0
    for node in range(1, count):
        common = -1
        for predecessor in predecessors[node]:
            if parent[predecessor] < 0:
                continue
            if common < 0:
                common = predecessor
                continue
            deep, shallow = (common, predecessor) if depth[common] >= depth[predecessor] else (predecessor, common)
            floor = depth[shallow]
            while depth[deep] > floor:
                deep = jump[deep] if depth[jump[deep]] >= floor else parent[deep]
            while deep != shallow:
                if jump[deep] != jump[shallow]:
                    deep, shallow = jump[deep], jump[shallow]
                else:
                    deep, shallow = parent[deep], parent[shallow]
            common = deep
        if common < 0:
            continue
        parent[node] = common
        depth[node] = depth[common] + 1
        middle = jump[common]
        far = jump[middle]
        jump[node] = far if depth[common] - depth[middle] == depth[middle] - depth[far] else common
    return parent


def immediate_post_dominators(count: int, successors: Sequence[Iterable[int]]) -> list[int]:
    """The immediate post-dominator of every node: the first node that all ways from it to the sink have in common.

    The mirror image of :func:`immediate_dominators`: the sink is node ``count - 1``, ``successors[node]`` are larger
    numbers; -1 stands for nodes that do not reach the sink.
    """
    last = count - 1
    mirrored = immediate_dominators(count, [[last - node for node in successors[last - i]] for i in range(count)])
    return [last - mirrored[last - node] if mirrored[last - node] >= 0 else -1 for node in range(count)]
