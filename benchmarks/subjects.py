"""What is timed: five torchvision models at 224 x 224, and two loops of many small operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

STEPS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model in evaluation mode with its input; the score is output entry ``[0, 0]``.

    ``layer`` is the one that is asked about; ``has_feature_map`` says whether a Grad-CAM of it makes sense.
    """

    name: str
    model: nn.Module
    x: Tensor
    layer: str
    has_feature_map: bool


class CellLoop(nn.Module):
    """An ``RNNCell`` called a thousand times."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.cell = nn.RNNCell(16, 16)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(x.shape[0], 16)
        for step in range(self.steps):
            state = self.cell(x[:, step % x.shape[1]], state)
        out: Tensor = self.head(state)
        return out


class ManualLoop(nn.Module):
    """The same recurrence written out: four operations per step."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.embed = nn.Linear(16, 16)
        self.recurrent = nn.Parameter(torch.randn(16, 16) / 4)
        self.bias = nn.Parameter(torch.zeros(16))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        step_input = self.embed(x[:, 0])
        state = torch.zeros(x.shape[0], 16)
        for _ in range(self.steps):
            state = state @ self.recurrent
            state = state + step_input
            state = state + self.bias
            state = state.tanh()
        out: Tensor = self.head(state)
        return out


LAYERS = {
    "resnet18": "layer4",
    "resnet50": "layer4",
    "densenet121": "features.denseblock4",
    "vit_b_16": "encoder.layers.encoder_layer_10",
    "swin_t": "features.7",
}
LOOPS: dict[str, tuple[Callable[[int], nn.Module], str]] = {
    "RNNCell x 1000": (CellLoop, "cell"),
    "manual RNN x 1000": (ManualLoop, "embed"),
}


def names() -> list[str]:
    """All subjects, in the order of the tables."""
    return [*LAYERS, *LOOPS]


def build(name: str, steps: int = STEPS) -> Subject:
    """A subject with random weights; the same every time. ``steps`` is for the loops."""
    torch.manual_seed(0)
    if name in LOOPS:
        make, layer = LOOPS[name]
        return Subject(name=name, model=make(steps).eval(), x=torch.randn(1, 8, 16), layer=layer, has_feature_map=False)
    import torchvision

    model = torchvision.models.get_model(name, weights=None).eval()
    if name.startswith("vit"):
        nn.init.normal_(model.heads.head.weight, std=0.02)  # zeros, as built, would let no gradient through
    has_feature_map = name not in {"vit_b_16", "swin_t"}
    x = torch.randn(1, 3, 224, 224)
    return Subject(name=name, model=model, x=x, layer=LAYERS[name], has_feature_map=has_feature_map)


def small() -> Subject:
    """A network of two layers that every method can be tried on."""
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 2)).eval()
    return Subject(name="small", model=model, x=torch.randn(1, 3, 8, 8), layer="0", has_feature_map=True)
