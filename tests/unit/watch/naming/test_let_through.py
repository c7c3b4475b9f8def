"""What a module only lets through is called as the program calls it; what it makes is called by the module."""

from __future__ import annotations

import torch
from torch import nn

import gradflow
from gradflow.record.program.watching import Watch
from gradflow.watch.facts.naming.names import name_of_value
from gradflow.watch.observing import observation_of


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.preprocessing, self.lin = nn.Identity(), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lin(self.preprocessing(x))


class Detaches(Net):
    """Its first layer makes the leaf itself."""

    def __init__(self) -> None:
        super().__init__()
        self.preprocessing = Leaf()


class Leaf(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.kept = x.detach().requires_grad_()
        return self.kept


def test_an_input_that_a_module_lets_through_keeps_its_name() -> None:
    net = Net()
    with gradflow.explain(quiet=True) as explanation:
        inputs = torch.ones(1, 3)
        inputs.requires_grad = True
        for k in range(3):
            net(inputs)[0, k].backward()
            assert inputs.grad is not None
            assert bool((inputs.grad[0] != 0.0).any())
    (found,) = explanation.report.diagnostics
    assert found.name == "grad-accumulated"
    assert "`inputs.grad`" in found.message


def test_a_leaf_that_a_module_makes_is_called_by_the_module() -> None:
    net, watch = Detaches(), Watch()
    with watch.watching():
        net(torch.ones(1, 3)).sum().backward()
    observation = observation_of(watch)
    calls = observation.recording.calls
    (value,) = next(call.outputs for call in calls if call.module == "preprocessing")
    assert name_of_value(observation, value) == ("preprocessing", "layer")
