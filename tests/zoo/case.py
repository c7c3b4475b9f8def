"""A model of the zoo: what it is called with, and which entry of its output is the score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model with random weights, in evaluation mode.

    ``inputs`` are its positional arguments, or keyword arguments where they are a mapping. The score is class
    ``target`` of ``part`` of what the model returns; an empty ``part`` is the output itself.
    """

    name: str
    family: str
    model: nn.Module
    inputs: tuple[Any, ...] | Mapping[str, Any]
    part: str = ""
    target: int = 0

    def run(self) -> Any:
        """What the model returns, from the same random state every time."""
        torch.manual_seed(SEED)
        if isinstance(self.inputs, Mapping):
            return self.model(**self.inputs)
        return self.model(*self.inputs)

    def score(self, output: Any) -> Tensor:
        """The class of the first sample: at the last position of a sequence, on average over a map."""
        classes = output[self.part] if self.part else output
        match classes.ndim:
            case 2:
                return classes[0, self.target]
            case 3:
                return classes[0, -1, self.target]
            case _:
                return classes[0, self.target].mean()


class SumOfOutput(nn.Module):
    """Makes a ``[1, 1]`` score of whatever a model returns: the sum of its floating-point tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Any) -> Tensor:
        tensors = [tensor for tensor in tensors_in(self.model(*inputs)) if tensor.is_floating_point()]
        return torch.stack([tensor.sum() for tensor in tensors]).sum().reshape(1, 1)


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in nested lists, tuples and mappings, in their order."""
    if isinstance(value, Tensor):
        return [value]
    entries = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [tensor for entry in entries for tensor in tensors_in(entry)]
