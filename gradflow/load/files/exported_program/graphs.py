"""What must hold for a graph and for a tensor, beyond that each of their parts is well formed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradflow.load.files.exported_program.names import checked_identifier
from gradflow.load.files.exported_program.offence import AsksTooMuch, Misshapen, shown
from gradflow.load.files.exported_program.operators import checked_operator
from gradflow.load.files.limits import MOST_NODES

__all__ = ["check_dimensions", "check_graph"]

_MOST_DIMENSIONS = 64


def check_dimensions(tensor: Mapping[str, Any]) -> None:
    """Look at the description of a tensor that has been rebuilt by torch's schema.

    Raises
    ------
    Misshapen
        When its strides are not those of its sizes.
    AsksTooMuch
        When it has more dimensions than any tensor.
    """
    sizes, strides = len(tensor["sizes"]), len(tensor["strides"])
    if sizes != strides:
        raise Misshapen(f"a tensor of {sizes} sizes and {strides} strides")
    if sizes > _MOST_DIMENSIONS:
        raise AsksTooMuch(f"a tensor of {sizes:,} dimensions")


def check_graph(graph: Mapping[str, Any]) -> None:
    """Look through one graph that has been rebuilt by torch's schema; graphs within it are checked on their own.

    Raises
    ------
    RunsCode
        When the keyword of an operator that runs a graph is no identifier.
    AsksTooMuch
        When it has too many nodes.
    Misshapen
        When two values have the same name, or an operator is given a graph that cannot take one.
    """
    nodes = graph["nodes"]
    if len(nodes) > MOST_NODES:
        raise AsksTooMuch(f"a graph of {len(nodes):,} nodes")
    names: set[str] = set()
    for node in nodes:
        if checked_operator(node["target"]) == "higher-order":
            _check_keywords(node)
        elif any("as_graph" in argument["arg"] for argument in node["inputs"]):
            raise Misshapen(f"a graph as an argument of {shown(node['target'])}")
        name = node.get("name")
        if name in names:
            raise Misshapen(f"the name {shown(name)} twice")
        if name is not None:
            names.add(name)


def _check_keywords(node: Mapping[str, Any]) -> None:
    """What runs a graph has no schema: its keywords are those of the file, and stand in generated source."""
    for argument in node["inputs"]:
        if argument["name"]:
            checked_identifier(argument["name"])
