"""What a gradient is multiplied with may be a number of Python's, or a mask of truth values."""

from __future__ import annotations

import pytest
import torch

from gradflow.record.backward.node_facts import factor_of, facts_of


@pytest.mark.parametrize(
    ("factor", "largest"),
    [
        (True, 1.0),
        (False, 0.0),
        (torch.tensor([True, False]), 1.0),
        (torch.tensor([False, False]), 0.0),
        (torch.tensor([-3.0, 2.0]), 3.0),
    ],
)
def test_the_largest_magnitude_is_known(factor, largest):
    node = (torch.ones(2, requires_grad=True) * factor).grad_fn
    assert factor_of(node, 0) == largest
    facts_of(node, [0])
