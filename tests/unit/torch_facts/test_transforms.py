"""Which function transform is at work, and what it wraps."""

from __future__ import annotations

import pytest
import torch

from gradflow.torch_facts.transforms import differentiates, is_in_transform, is_wrapped, is_wrapper, unwrapped


@pytest.mark.parametrize(
    ("transform", "is_derivative"),
    [(torch.func.grad, True), (torch.func.vmap, False), (torch.func.jacfwd, True), (torch.func.jacrev, True)],
)
def test_a_transform_is_seen_from_within(transform, is_derivative: bool) -> None:
    found = []

    def look(x: torch.Tensor) -> torch.Tensor:
        found.append((is_in_transform(), differentiates(), is_wrapped(x), is_wrapper(x)))
        inner = unwrapped(x)
        assert inner is not x
        return x.sum()

    transform(look)(torch.ones(3))
    assert found[0] == (True, is_derivative, True, True)
    assert not is_in_transform()
    assert not differentiates()
    assert not is_wrapper(torch.ones(1))
