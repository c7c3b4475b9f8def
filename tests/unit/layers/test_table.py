"""The listing of layers says what each one is, and leaves the model alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from gradflow.errors import ModelRaisedError
from gradflow.layers.table import LayerRow, list_layers
from gradflow.load.workload import Objective, Workload
from gradflow.record.layer_pass import run_modules


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.relu(self.bn(self.conv(x)))
        out = self.relu(out)
        out += x
        return out


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.block = Block()
        self.branches = nn.ModuleList([nn.Conv2d(4, 2, 1), nn.Conv2d(4, 2, 1)])
        self.spare = nn.Conv2d(4, 4, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout()
        self.fc = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block(self.stem(x))
        x = torch.cat([branch(x) for branch in self.branches], 1)
        return self.fc(self.drop(self.pool(x).flatten(1)))


def workload_of(model: nn.Module, *inputs: Any) -> Workload:
    return Workload(
        model=model,
        model_name="net",
        inputs=inputs,
        objective=Objective(compute=lambda output: (output.sum(), "sum", None)),
    )


def listed(workload: Workload) -> tuple[LayerRow, ...]:
    return list_layers(workload, run_modules(workload))


@pytest.fixture
def net() -> Net:
    net = Net()
    net.stem.requires_grad_(False)
    return net.train()


def test_every_module_is_listed_in_the_order_of_its_definition(net: Net) -> None:
    rows = listed(workload_of(net, torch.zeros(2, 3, 8, 8)))
    assert [row.name for row in rows] == [name for name, _ in net.named_modules() if name]
    by_name = {row.name: row for row in rows}
    assert by_name["stem"] == LayerRow(
        name="stem",
        type_name="Conv2d",
        output_shape=(2, 4, 8, 8),
        role="features",
        parameter_count=16,
        is_trainable=False,
        call_count=1,
    )
    assert {name: row.role for name, row in by_name.items()} == {
        "stem": "features",
        "block": "skip join",
        "block.conv": "features",
        "block.bn": "normalisation",
        "block.relu": "activation",
        "branches": "container",
        "branches.0": "features",
        "branches.1": "features",
        "spare": "never called",
        "pool": "pooling",
        "drop": "dropout",
        "fc": "classifier",
    }
    assert by_name["block.relu"].call_count == 2
    assert (by_name["spare"].call_count, by_name["spare"].output_shape) == (0, None)
    assert by_name["block"].parameter_count == 4 * 4 * 9 + 8
    assert by_name["block"].is_trainable


def test_the_model_is_left_as_found(net: Net) -> None:
    before = copy.deepcopy(net.state_dict())
    random = torch.get_rng_state()
    picture = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    listed(workload_of(net, picture))
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), f"{name}: batch norm's running statistics must not move"
    assert torch.equal(torch.get_rng_state(), random), "dropout must not use up random numbers"
    assert net.training
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in net.modules())


def test_an_input_written_in_place_is_left_as_found() -> None:
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 2))
    x = torch.tensor([[-1.0, 2.0, -3.0, 4.0]])
    listed(workload_of(model, x))
    assert x.tolist() == [[-1.0, 2.0, -3.0, 4.0]]


def test_hooks_are_gone_when_the_model_raises(net: Net) -> None:
    from torch.nn.modules import module as torch_module

    count = len(torch_module._global_forward_hooks) + len(torch_module._global_forward_pre_hooks)
    with pytest.raises(ModelRaisedError) as caught:
        listed(workload_of(net, torch.zeros(2, 4, 8, 8)))
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert len(torch_module._global_forward_hooks) + len(torch_module._global_forward_pre_hooks) == count


def test_an_exception_caught_inside_the_model_does_not_confuse_the_listing() -> None:
    class Picky(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wrong = nn.Sequential(nn.Linear(3, 3))
            self.right = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            try:
                return self.wrong(x)
            except RuntimeError:
                return self.right(x)

    rows = {row.name: row for row in listed(workload_of(Picky(), torch.zeros(1, 4)))}
    assert rows["right"].output_shape == (1, 2)
    assert rows["right"].call_count == 1


class Raises(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError


class Guarded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.fails = Raises()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            return self.fails(self.stem(x))
        except ValueError:
            return self.stem(x)


def test_a_layer_that_only_raised_is_no_container() -> None:
    rows = {row.name: row for row in listed(workload_of(Guarded(), torch.ones(1, 3, 4, 4)))}
    assert (rows["fails"].role, rows["fails"].output_shape, rows["fails"].call_count) == ("raised", None, 1)
    assert (rows["stem"].role, rows["stem"].call_count) == ("features", 2)
