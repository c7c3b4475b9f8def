"""What was written past torch, through an array, a storage or an address, is put back, or told."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gradflow
from gradflow.record.state import preserved, tensors

WIDTH = 40  # 6400 bytes: more than what is copied because it is small

HELD: dict[str, Any] = {}


class Model(nn.Module):
    """Writes past torch in its forward; how it can, it knows since it was made."""

    def __init__(self, take: Callable[[Tensor], Any], write: Callable[[Any, Tensor], object]) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 3)
        self._write = write
        self.runs = 0
        HELD["it"] = take(self.layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        self._write(HELD["it"], self.layer.weight)
        out: Tensor = self.head(self.layer(x))
        return out


def taken(weight: Tensor) -> Any:
    """An array that the weight was made from."""
    array = np.ones((WIDTH, WIDTH), np.float32)
    weight.data = torch.from_numpy(array)
    return array


def taken_from_a_buffer(weight: Tensor) -> bytearray:
    content = bytearray(4 * WIDTH * WIDTH)
    weight.data = torch.frombuffer(content, dtype=torch.float32).view(WIDTH, WIDTH)
    return content


def add_one(held: Any, weight: Tensor) -> None:
    held += 1


def write_at(address: int, *values: float) -> None:
    ctypes.memmove(address, (ctypes.c_float * len(values))(*values), 4 * len(values))


def swap(address: int, first: int, second: int) -> None:
    floats = (ctypes.c_float * (WIDTH * WIDTH)).from_address(address)
    floats[first], floats[second] = floats[second], floats[first]


def nothing(weight: Tensor) -> None:
    return None


PUT_BACK: dict[str, tuple[Callable[[Tensor], Any], Callable[[Any, Tensor], object]]] = {
    "an array": (lambda weight: weight.detach().numpy(), add_one),
    "an array that it was made from": (taken, add_one),
    "a buffer": (taken_from_a_buffer, lambda held, weight: held.__setitem__(3, (held[3] + 1) % 60)),
    "a tensor": (lambda weight: weight.detach(), add_one),
    "a storage": (lambda weight: weight.untyped_storage(), lambda held, weight: held.fill_(3)),
}
TOLD: dict[str, tuple[Callable[[Tensor], Any], Callable[[Any, Tensor], object]]] = {
    "an address asked for in the run": (nothing, lambda held, weight: write_at(weight.data_ptr(), 1.0)),
    "one number": (lambda weight: weight.data_ptr(), lambda held, weight: write_at(held, 7.0)),
    "the last one": (lambda weight: weight.data_ptr(), lambda held, weight: write_at(held + 4 * (WIDTH**2 - 1), 7.0)),
    "two that change places": (lambda weight: weight.data_ptr(), lambda held, weight: swap(held, 3, 4)),
    "in two rows": (lambda weight: weight.data_ptr(), lambda held, weight: swap(held, 3, 3 + WIDTH)),
}


def looked_at(way: str, model: nn.Module) -> tuple[str, ...]:
    x = torch.randn(2, WIDTH)
    report = gradflow.check(model, "layer", inputs=x) if way == "check" else gradflow.audit(model, inputs=x)
    return tuple(text for text in report.assumptions if "put back" in text)


@pytest.mark.parametrize("way", ["check", "audit"])
@pytest.mark.parametrize("name", PUT_BACK)
def test_what_is_written_through_what_somebody_holds_is_put_back(name: str, way: str) -> None:
    model = Model(*PUT_BACK[name])
    before = model.layer.weight.detach().clone()
    assert looked_at(way, model) == ()
    assert torch.equal(model.layer.weight, before)
    model(torch.randn(2, WIDTH))
    assert not torch.equal(model.layer.weight, before), "the program itself does change it"


@pytest.mark.parametrize("way", ["check", "audit"])
@pytest.mark.parametrize("name", TOLD)
def test_what_is_written_to_an_address_is_told(name: str, way: str) -> None:
    model = Model(*TOLD[name])
    before = model.layer.weight.detach().clone()
    assert looked_at(way, model) == ("could not be put back: `layer.weight`",)
    assert not torch.equal(model.layer.weight, before)


def test_of_what_is_small_it_is_put_back() -> None:
    model = nn.Linear(3, 3)
    address, before = model.weight.data_ptr(), model.weight.detach().clone()
    with preserved(model) as keeper:
        for _ in range(2):
            write_at(address, 1.0, 2.0)
            assert not torch.equal(model.weight, before)
            keeper.rewind()
            assert torch.equal(model.weight, before)
        write_at(address, 3.0)
    assert torch.equal(model.weight, before)
    assert keeper.unrestored == ()


def test_an_announced_write_after_an_unseen_one_is_told() -> None:
    model = nn.Linear(WIDTH, WIDTH)
    address = model.weight.data_ptr()
    with preserved(model) as keeper, torch.no_grad():
        write_at(address, 1.0)
        keeper.before_write(model.weight)
        model.weight.mul_(2)
    assert keeper.unrestored == ("`weight`",)


def test_what_nobody_writes_to_is_not_copied_and_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Linear(WIDTH, WIDTH)
    saved: list[int] = []
    save = tensors.Memory.save

    def noted(memory: tensors.Memory) -> None:
        saved.append(memory.byte_count)
        save(memory)

    monkeypatch.setattr(tensors.Memory, "save", noted)
    with preserved(model) as keeper:
        model(torch.randn(2, WIDTH)).sum()
    assert keeper.unrestored == ()
    assert saved == [4 * WIDTH]  # the bias
