"""Who meets a value that no recorded operation made, on recordings written by hand."""

from __future__ import annotations

from gradflow.graph.paths.out_of_nowhere import met_out_of_nowhere
from gradflow.recording import OperationColumns, Recording, ValueColumns


def recorded(known: int, unknown: int, rows: list[tuple[int, ...]], *, score: int = -1) -> Recording:
    """First ``known`` leaves with names, then ``unknown`` ones that were met in the model, then what each row gives."""
    operations, values = OperationColumns(), ValueColumns()
    values.producer.extend([-1] * (known + unknown))
    for row, inputs in enumerate(rows):
        operations.name.append(0)
        operations.inputs.extend(inputs)
        operations.input_start.append(len(operations.inputs))
        values.producer.append(row)
        operations.outputs.append(len(values.producer) - 1)
        operations.output_start.append(len(operations.outputs))
    return Recording(
        operations=operations,
        values=values,
        names=("add",),
        dtypes=("float32",),
        spans=(),
        calls=(),
        leaf_names={leaf: ("parameter", str(leaf)) for leaf in range(known)},
        score=len(values.producer) - 1 if score < 0 else score,
        layer_values={},
        met_in_model=range(known, len(values.producer)),
    )


def test_the_first_operation_that_reads_it_is_named():
    assert met_out_of_nowhere(recorded(1, 1, [(0,), (2, 1), (3, 1)])) == ((1, 1),)


def test_what_has_a_name_came_from_somewhere():
    assert met_out_of_nowhere(recorded(2, 0, [(0, 1), (2,)])) == ()


def test_what_the_score_is_not_computed_of_is_left_out():
    assert met_out_of_nowhere(recorded(1, 1, [(0, 1), (0,)])) == ()


def test_each_of_several_is_told_with_its_own_reader():
    assert met_out_of_nowhere(recorded(1, 2, [(0, 2), (3, 1)])) == ((0, 2), (1, 1))


def test_without_a_recorded_score_nothing_is_told():
    recording = recorded(1, 1, [(0, 1)])
    assert met_out_of_nowhere(Recording(**{**vars(recording), "score": -1})) == ()
