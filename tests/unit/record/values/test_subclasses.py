"""A tensor that is given another class is still the one that it was made of."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


class Tagged(torch.Tensor):
    """As libraries make them: every result of an operation is of the class again."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return super().__torch_function__(func, types, args, kwargs or {})


class Net(nn.Module):
    def __init__(self, between):
        super().__init__()
        self.body, self.head, self.between = nn.Linear(4, 3), nn.Linear(3, 2), between

    def forward(self, x):
        return self.head(self.between(self.body(x)))


def tagged(h):
    return h.as_subclass(Tagged)


def tagged_without_recording(h):
    with torch.no_grad():
        return (h * 2).as_subclass(Tagged)


def tagged_and_back(h):
    return h.as_subclass(Tagged).detach().as_subclass(torch.Tensor)


def made_anew(h):
    return torch.Tensor._make_subclass(Tagged, h)


@pytest.mark.parametrize(
    ("between", "verdict", "names"),
    [
        (made_anew, "broken", ["tensor-rewrap"]),
        (tagged, "connected", []),
        (tagged_without_recording, "broken", ["no-grad"]),
        (tagged_and_back, "broken", ["detach"]),
    ],
)
@pytest.mark.parametrize("as_input", [lambda x: x, tagged])
def test_the_way_goes_on_through_another_class(between, verdict, names, as_input):
    report = gradflow.check(Net(between), "body", inputs=as_input(torch.ones(2, 4)), target=0)
    assert (report.verdict, [found.name for found in report.diagnostics]) == (verdict, names)


def test_with_the_history_kept_the_gradient_arrives():
    report = gradflow.check(Net(made_anew), "body", inputs=torch.ones(2, 4), target=0)
    assert report.diagnostics[0].helps[0].repair.verified


class Scale(nn.Parameter):
    """A class of parameters of one's own, as quantised weights are."""

    def __new__(cls, data=None, requires_grad=True):
        return torch.Tensor._make_subclass(cls, data, requires_grad)


def test_a_parameter_of_ones_own_class_is_a_leaf_and_learns():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = Scale(torch.ones(4))

        def forward(self, x):
            return x * self.scale

    with gradflow.explain(quiet=True) as explanation:
        net = Scaled()
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            net(torch.ones(2, 4)).sum().backward()
            optimizer.step()
    assert not explanation.report.diagnostics
    assert explanation.report.seen == ("the parameter in `SGD` got a gradient in 2 of 2 steps",)


def test_in_a_program_the_region_is_the_cause():
    net, x = nn.Linear(4, 2), torch.rand(3, 4).as_subclass(Tagged)
    with gradflow.explain(quiet=True) as explanation:
        with torch.no_grad():
            out = torch.as_tensor(net(x.as_subclass(torch.Tensor))).as_subclass(Tagged)
        loss = (out**2).mean()
        with pytest.raises(RuntimeError):
            loss.backward()
    (found,) = explanation.report.diagnostics
    assert found.name == "no-grad"


def test_it_is_torchs_own_again_and_gives_what_it_gave():
    original = torch.Tensor.as_subclass
    seen = []
    with gradflow.explain(quiet=True):
        x = torch.ones(3, requires_grad=True)
        y = x.as_subclass(Tagged)
        seen.append((type(y), y.grad_fn is not None, y.data_ptr() == x.data_ptr(), y._base is x))
        with pytest.raises(TypeError):
            x.as_subclass(3)
    z = x.as_subclass(Tagged)
    assert torch.Tensor.as_subclass is original
    assert {"as_subclass", "_make_subclass"}.isdisjoint(vars(torch.Tensor))
    assert seen == [(type(z), z.grad_fn is not None, z.data_ptr() == x.data_ptr(), z._base is x)]
