"""Small training loops, each made anew: one call is one step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

__all__ = ["LOOPS"]

Step = Callable[[], None]


def _step(model: nn.Module, x: torch.Tensor, loss: Callable[[torch.Tensor], torch.Tensor]) -> Step:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step() -> None:
        optimizer.zero_grad()
        loss(model(x)).backward()
        optimizer.step()

    return step


def resnet18() -> Step:
    """Batch 8 at 64 x 64 pixels."""
    import torchvision

    labels = torch.randint(0, 1000, (8,))
    model = torchvision.models.resnet18(weights=None)
    return _step(model, torch.randn(8, 3, 64, 64), lambda output: nn.functional.cross_entropy(output, labels))


def perceptron() -> Step:
    """Three layers of 32 units, batch 16: almost nothing but Python's own time."""
    model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
    return _step(model, torch.randn(16, 20), lambda output: output.pow(2).mean())


class _Recurrent(nn.Module):
    """An ``RNNCell`` over twenty time steps."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(16, 16)
        self.head = nn.Linear(16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = x.new_zeros(x.shape[1], 16)
        for now in x:
            state = self.cell(now, state)
        out: torch.Tensor = self.head(state)
        return out


def recurrent() -> Step:
    """The loop inside the model: many small operations for one backward."""
    return _step(_Recurrent(), torch.randn(20, 8, 16), lambda output: output.pow(2).mean())


class _Lstm(nn.Module):
    """``nn.LSTM`` with a head on its last output."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(16, 64, num_layers=2, batch_first=True)
        self.head = nn.Linear(64, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.lstm(x)[0][:, -1])
        return out


def lstm() -> Step:
    """Two layers over 32 time steps, batch 16."""
    return _step(_Lstm(), torch.randn(16, 32, 16), lambda output: output.pow(2).mean())


def transformer() -> Step:
    """Two encoder layers of 64 units, batch 16 of 32 tokens."""
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return _step(model, torch.randn(16, 32, 64), lambda output: output.pow(2).mean())


LOOPS: dict[str, Callable[[], Step]] = {
    "resnet18": resnet18,
    "perceptron": perceptron,
    "RNNCell x 20": recurrent,
    "LSTM": lstm,
    "transformer": transformer,
}
