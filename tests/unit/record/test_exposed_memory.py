"""Memory that the model hands out may be written to where torch does not see it, and is put back all the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import gradflow
from gradflow.record.state import StateKeeper


class Writes(nn.Module):
    def __init__(self, write: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.a, self.scale = nn.Linear(4, 4), nn.Parameter(torch.ones(4))
        self.write = write

    def forward(self, x: Tensor) -> Tensor:
        self.write(self.scale.detach())
        out: Tensor = self.a(x) * self.scale
        return out


WRITES: dict[str, Callable[[Tensor], object]] = {
    "NumPy": lambda scale: scale.numpy().fill(7),
    "an array": lambda scale: scale.__array__().fill(7),
    "DLPack": lambda scale: torch.from_dlpack(scale).fill_(7),
    "a capsule": lambda scale: torch.from_dlpack(torch.utils.dlpack.to_dlpack(scale)).fill_(7),
    "storage": lambda scale: scale.untyped_storage().fill_(0),
}


@pytest.mark.parametrize("layer", ["a", "auto"])
@pytest.mark.parametrize("write", WRITES)
def test_a_weight_is_as_found(write: str, layer: str) -> None:
    model = Writes(WRITES[write])
    report = gradflow.check(model, layer, inputs=torch.ones(2, 4))
    assert model.scale.tolist() == [1.0] * 4
    assert not any("put back" in said for said in report.assumptions)


def test_what_only_gives_numbers_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    announced: list[Tensor] = []
    monkeypatch.setattr(StateKeeper, "before_write", lambda self, tensor: announced.append(tensor))
    gradflow.check(
        Writes(lambda scale: (scale.tolist(), scale[0].item(), scale.data_ptr())), "a", inputs=torch.ones(2, 4)
    )
    assert not announced
