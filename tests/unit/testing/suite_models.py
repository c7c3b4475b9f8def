"""Small models, each sound or with one mistake; the messages about them are compared line by line."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, mistake: str = "") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.mistake = mistake

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x).relu())
        if self.mistake == "skip detached":
            return x.detach() + y
        if self.mistake == "skip weak":
            return 0.001 * x + y
        if self.mistake == "no skip":
            return y
        return x + y


class Net(nn.Module):
    def __init__(self, mistake: str = "") -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.block = Block(mistake)
        self.norm = nn.BatchNorm2d(4) if mistake == "batch norm" else nn.GroupNorm(2, 4)
        self.head = nn.Linear(4, 5)
        self.spare = nn.Linear(4, 5)
        self.mistake = mistake

    def forward(self, images: Tensor) -> Tensor:
        features = self.norm(self.block(self.stem(images)))
        if self.mistake == "detached":
            features = features.detach()
        if self.mistake == "centred on the batch":
            features = features - features.mean(0)
        pooled = features.tanh().mean((2, 3))
        spare = self.spare(pooled)
        if self.mistake == "output discarded":
            return self.head(pooled)
        return self.head(pooled) + spare


class WrongTanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        result = x.tanh()
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        return gradient * (1 - result)  # the square is missing


class WrongFormula(Net):
    def forward(self, images: Tensor) -> Tensor:
        return self.head(WrongTanh.apply(self.block(self.stem(images))).mean((2, 3)))


class Teacher(nn.Module):
    """A student and its teacher, as in BYOL; ``leaks`` forgets the stop-gradient."""

    def __init__(self, *, leaks: bool = False) -> None:
        super().__init__()
        self.student = nn.Linear(6, 4)
        self.teacher = nn.Linear(6, 4)
        self.leaks = leaks

    def forward(self, x: Tensor) -> Tensor:
        goal = self.teacher(x)
        if not self.leaks:
            goal = goal.detach()
        return (self.student(x) - goal).square().mean()


class Deep(nn.Module):
    """Sigmoids all the way: the gradient vanishes."""

    def __init__(self, activation: type[nn.Module]) -> None:
        super().__init__()
        layers = [layer for _ in range(16) for layer in (nn.Linear(8, 8), activation())]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
