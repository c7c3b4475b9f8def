"""Rows for what autograd does in a program: gradients that it returned, the sum of scores that it differentiates."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gradflow.record.operations.tables import Tables

__all__ = ["add_gradients", "add_scores"]

_SUM_OF_SCORES = "sum of the scores"


def add_gradients(
    tables: Tables, site: int, inputs: Sequence[int], gradients: Sequence[torch.Tensor | None]
) -> tuple[int, ...]:
    """Log what ``torch.autograd.grad`` returned as an operation of that name; gives the values, -1 for none."""
    row = tables.append_row("autograd.grad", site)
    tables.append_inputs(row, inputs, range(len(inputs)))
    values = [-1 if gradient is None else tables.new_value(gradient, row) for gradient in gradients]
    tables.operations.outputs.extend(value for value in values if value >= 0)
    tables.operations.output_start.append(len(tables.operations.outputs))
    return tuple(values)


def add_scores(tables: Tables, site: int, scores: Sequence[int]) -> int:
    """Log that autograd differentiates the sum of several scores, and give that sum's value."""
    row = tables.append_row(_SUM_OF_SCORES, site)
    tables.append_inputs(row, scores, range(len(scores)))
    of_any = any(tables.values.requires_grad[score] for score in scores)
    value = tables.new_value_alone(row, (), tables.values.dtype[scores[0]], requires_grad=of_any)
    tables.operations.outputs.append(value)
    tables.operations.output_start.append(len(tables.operations.outputs))
    return value
