"""Operations as people write them."""

from __future__ import annotations

import pytest

from gradflow.torch_facts.operations.writing import written


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        ("__setitem__", "y[...] = ..."),
        ("__getitem__", "y[...]"),
        ("__iadd__", "+="),
        ("__rsub__", "-"),
        ("__matmul__", "@"),
        ("__bool__", "if ..."),
        ("data=", ".data = ..."),
        ("conv2d", "conv2d"),
        ("MyFunction.apply", "MyFunction.apply"),
    ],
)
def test_names_of_python_become_what_people_write(operation: str, text: str) -> None:
    assert written(operation) == text
