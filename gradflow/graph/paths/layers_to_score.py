"""How many layers with weights still lie between a weight and the score.

Weights at the same depth are alternatives: what a query, a key and a value get of one gradient differs by what they do,
not by how far the gradient has come.
"""

from __future__ import annotations

from collections.abc import Mapping

from gradflow.graph.dependence import value_inputs
from gradflow.graph.ways_to_score import WaysToScore
from gradflow.recording import Recording

__all__ = ["layers_to_score"]


def layers_to_score(recording: Recording, ways: WaysToScore, used_at: Mapping[str, int]) -> dict[str, int]:
    """For each weight the number of other layers on the longest path from the operation that uses it to the score.

    ``used_at`` has the operation at which each weight meets the data; these are the layers that are counted.
    """
    layers = frozenset(used_at.values())
    behind_value = [0] * len(recording.values.producer)
    behind_row: dict[int, int] = {}
    for row in range(len(recording) - 1, -1, -1):
        on_the_way = [value for value in recording.outputs_of(row) if ways.obstacles[value] == ()]
        if not on_the_way:
            continue
        behind = max(behind_value[value] for value in on_the_way)
        if row in layers:
            behind_row[row] = behind
            behind += 1
        for value in value_inputs(recording, row):
            behind_value[value] = max(behind_value[value], behind)
    return {name: behind_row[row] for name, row in used_at.items() if row in behind_row}
