"""How many layers lie between a weight and the score, on traces written by hand."""

from __future__ import annotations

from gradflow.graph.paths.layers_to_score import layers_to_score
from gradflow.graph.ways_to_score import ways_to_score
from gradflow.recording import OperationColumns, Recording, ValueColumns


def trace_of(leaves: list[str], rows: list[tuple[str, tuple[int, ...]]]) -> Recording:
    """Values are numbered: the leaves first, then what each row gives; the last is the score."""
    operations, values, names = OperationColumns(), ValueColumns(), [name for name, _ in rows]
    for producer in [-1] * len(leaves) + list(range(len(rows))):
        values.producer.append(producer)
        values.requires_grad.append(True)
        values.shape.append((2,))
        values.dtype.append(0)
    for row, (_, inputs) in enumerate(rows):
        operations.name.append(row)
        operations.mode.append(0)
        operations.region.append(-1)
        operations.site.append(-1)
        operations.inputs.extend(inputs)
        operations.argument.extend(range(len(inputs)))
        operations.input_start.append(len(operations.inputs))
        operations.outputs.append(len(leaves) + row)
        operations.output_start.append(len(operations.outputs))
    return Recording(
        operations=operations,
        values=values,
        names=tuple(names),
        dtypes=("float32",),
        spans=(),
        calls=(),
        leaf_names={index: ("input" if name == "x" else "parameter", name) for index, name in enumerate(leaves)},
        score=len(values.producer) - 1,
        layer_values={},
    )


def depths(recording: Recording, used_at: dict[str, int]) -> dict[str, int]:
    return layers_to_score(recording, ways_to_score(recording), used_at)


def test_side_by_side_is_the_same_depth() -> None:
    leaves = ["x", "query", "key", "value", "out"]
    rows = [
        ("linear", (0, 1)),  # 5
        ("linear", (0, 2)),  # 6
        ("matmul", (5, 6)),  # 7
        ("linear", (0, 3)),  # 8
        ("matmul", (7, 8)),  # 9
        ("linear", (9, 4)),  # 10
    ]
    used_at = {"query": 0, "key": 1, "value": 3, "out": 5}
    assert depths(trace_of(leaves, rows), used_at) == {"query": 1, "key": 1, "value": 1, "out": 0}


def test_the_longest_path_counts() -> None:
    """A skip past two layers makes nothing in front of it less deep."""
    rows = [("linear", (0, 1)), ("linear", (4, 2)), ("linear", (5, 3)), ("add", (4, 6))]
    used_at = {"first": 0, "second": 1, "third": 2}
    assert depths(trace_of(["x", *used_at], rows), used_at) == {"first": 2, "second": 1, "third": 0}


def test_what_does_not_lead_to_the_score_does_not_count() -> None:
    """A layer whose result is only looked at, and one behind it."""
    rows = [("linear", (0, 1)), ("linear", (4, 2)), ("linear", (5, 3)), ("relu", (4,))]
    used_at = {"first": 0, "seen": 1, "seen_too": 2}
    assert depths(trace_of(["x", *used_at], rows), used_at) == {"first": 0}
