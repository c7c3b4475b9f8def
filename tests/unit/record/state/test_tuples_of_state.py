"""Tuples are walked once each, however often they are shared and however deep they lie."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gradflow.record.state import preserved


class Holder(nn.Module):
    def __init__(self, held: Any) -> None:
        super().__init__()
        self.held = held


def shared(value: Any) -> Any:
    for _ in range(60):
        value = (value, value)
    return value


def deep(value: Any) -> Any:
    for _ in range(5_000):
        value = (value,)
    return value


def beside_numbers(value: Any) -> Any:
    return (*range(1_000), (1, 2), value)


@pytest.mark.parametrize("wrapped", [shared, deep, beside_numbers])
def test_what_lies_in_tuples_is_put_back(wrapped: Any) -> None:
    tensor, numbers = torch.ones(2), [1, 2]
    with preserved(Holder(wrapped((tensor, numbers)))) as keeper:
        keeper.before_write(tensor)
        tensor.add_(1)
        numbers.append(3)
        assert sum(one is tensor for one in keeper.tensors) == 1
    assert tensor.tolist() == [1.0, 1.0]
    assert numbers == [1, 2]
