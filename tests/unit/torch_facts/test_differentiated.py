"""Outputs and inputs are gone through as torch goes through them, and not once more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch.autograd.graph import get_gradient_edge

from gradflow.torch_facts.differentiated import ARGUMENTS, items_of

A, B = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
EDGE = get_gradient_edge(A * 2)


def test_the_arguments_that_are_looked_at_are_there() -> None:
    assert ARGUMENTS["backward"][:4] == ("tensors", "grad_tensors", "retain_graph", "create_graph")
    assert "inputs" in ARGUMENTS["backward"]
    assert ARGUMENTS["grad"][:5] == ("outputs", "inputs", "grad_outputs", "retain_graph", "create_graph")
    assert {"allow_unused", "is_grads_batched", "materialize_grads"} < set(ARGUMENTS["grad"])


@pytest.mark.parametrize(
    ("make", "items"),
    [
        (lambda: A, [A]),
        (lambda: EDGE, [EDGE]),
        (lambda: [EDGE, B], [EDGE, B]),
        (lambda: (A, B), [A, B]),
        ({"a": A, "b": B}.values, [A, B]),
        (lambda: iter([A, B]), [A, B]),
        (lambda: (one for one in [A, B]), [A, B]),
        (lambda: dict.fromkeys([A, B]).keys(), [A, B]),
    ],
)
def test_items_are_those_that_torch_differentiates_by(make: Callable[[], Any], items: list[Any]) -> None:
    found, passed_on = items_of(make())
    assert found is not None
    assert len(found) == len(items)
    assert all(one is other for one, other in zip(found, items, strict=True))
    loss = (A * 2).sum() + B.sum()
    given = torch.autograd.grad(loss, passed_on, allow_unused=True, retain_graph=True)
    plain = torch.autograd.grad(loss, make(), allow_unused=True, retain_graph=True)
    assert [one is None for one in given] == [one is None for one in plain]


def test_nothing_given_is_nothing() -> None:
    assert items_of(None) == ((), None)


def test_a_mapping_that_torch_refuses_is_left_to_it() -> None:
    class Own(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            raise AssertionError("asked")

        def __iter__(self) -> Iterator[str]:
            raise AssertionError("gone through")

        def __len__(self) -> int:
            return 1

    own = Own()
    assert items_of(own) == ((), own)


def test_what_raises_does_so_once_and_for_torch() -> None:
    runs = []

    def inputs() -> Iterator[torch.Tensor]:
        runs.append(1)
        yield A
        raise KeyError("mine")

    items, passed_on = items_of(inputs())
    assert items is None
    with pytest.raises(KeyError, match="mine"):
        torch.autograd.grad(A.sum(), passed_on)
    assert runs == [1]
