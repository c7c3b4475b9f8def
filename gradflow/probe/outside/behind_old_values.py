"""Whether the score has something of a layer that was not seen to run: what it gave before, kept with its graph.

A memo that an earlier pass has filled, weights that were computed once, a state that is carried on: no operation of
this run made such a value, and autograd's graph goes on behind it. Whose parameters it ends in is a fact.
"""

from __future__ import annotations

from gradflow.load.module_tree import named_parameters_in
from gradflow.probe.laboratory import Laboratory
from gradflow.record.backward.walk import Node, link_operations, walk_from
from gradflow.recording import Recording
from gradflow.source_place import place

__all__ = ["why_seen_no_more"]

_MOST = 10_000


def why_seen_no_more(laboratory: Laboratory, recording: Recording, target: str) -> str:
    """Why a layer of which no call was recorded may be in the score all the same; empty where it is not.

    Costs a forward pass, whose graph is looked at, where the score reads a value that has a history from elsewhere.
    """
    module, old_values = laboratory.layers.get(target), _old_values(recording)
    run = laboratory.forward() if module is not None and old_values else None
    root = run.live.score.grad_fn if run is not None and run.live.score is not None else None
    if module is None or run is None or root is None:
        return ""
    nodes = walk_from((root,), (), _MOST)
    span = recording.span_of(min(old_values.values()))
    where = f" at {place(span)}" if span is not None else ""
    read = f"it did not run in this run, and a tensor that no recorded operation made is read{where}"
    if len(old_values) > 1:
        read = f"it did not run in this run, and {len(old_values)} tensors that no recorded operation made are read"
    parameters = {id(parameter): name for name, parameter in named_parameters_in(module)}
    if nodes is None:
        return f"{read}, with a graph that is too large to look through"
    if not parameters:
        return f"{read}; whether `{target}` gave it before cannot be seen, because it has no parameters"
    operation_of = link_operations(run.recording)
    old = [node for node in nodes if _variable(node) is None and operation_of(node) < 0]
    followed = (following for node in old for following, _ in node.next_functions if following is not None)
    for variable in map(_variable, followed):
        if id(variable) in parameters:
            whose = "its" if len(old_values) == 1 else "their"
            return f"{read}, and {whose} graph leads to `{target}.{parameters[id(variable)]}`"
    return ""


def _old_values(recording: Recording) -> dict[int, int]:
    """The values with a history that no recorded operation made, and which operation reads each first."""
    values, found = recording.values, dict[int, int]()
    for row in range(len(recording)):
        for value in recording.inputs_of(row):
            is_unnamed = recording.leaf_names.get(value, ("opaque", ""))[0] == "opaque"
            if values.producer[value] < 0 and values.requires_grad[value] and is_unnamed:
                found.setdefault(value, row)
    return found


def _variable(node: Node) -> object:
    """The leaf whose gradient a node keeps; nothing for all other nodes."""
    return getattr(node, "variable", None)
