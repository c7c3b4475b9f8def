"""What a user may have beside the file: a module with two small models, and a declaration of one of them."""

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(5, 4)
        self.b = nn.Linear(4, 3)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


class Picture(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, 4, 3)
        self.b = nn.Linear(4, 3)

    def forward(self, x):
        return self.b(torch.tanh(self.c(x)).mean((2, 3)))
"""

DECLARED = """
[tool.gradflow.models.good]
source = "net.py:Net"
layers = ["a"]
input-shapes = ["2,5"]
"""
