"""A weight that is brought back within bounds before each use stays the same variable; one made of another does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import gradflow  # noqa: E402


class Net(nn.Module):
    def __init__(self, before: Callable[[nn.Module], None]) -> None:
        super().__init__()
        self.a, self.b, self.before = nn.Linear(4, 4), nn.Linear(4, 4), before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.before(self)
        return self.b(self.a(x))


def clip(net: nn.Module) -> None:
    net.b.weight.data.clamp_(-0.1, 0.1)


def put_on_a_ball(net: nn.Module) -> None:
    net.b.weight.data = torch.renorm(net.b.weight.data, p=2, dim=0, maxnorm=0.5)


def divide(net: nn.Module) -> None:
    with torch.no_grad():
        net.b.weight.div_(net.b.weight.norm())


def write_rows(net: nn.Module) -> None:
    with torch.no_grad():
        for row in net.b.weight:
            row.copy_(functional.normalize(row, dim=0))


def copy_of_another(net: nn.Module) -> None:
    net.b.weight.data = net.a.weight.data * 2


@pytest.mark.parametrize("before", [clip, put_on_a_ball, divide, write_rows])
def test_a_weight_made_of_itself_is_whole(before: Callable[[nn.Module], None]) -> None:
    torch.manual_seed(0)
    net, x = Net(before), torch.randn(3, 4)
    assert not gradflow.audit(net, inputs=x).diagnostics
    assert gradflow.check(net, inputs=x, parameter="b.weight").verdict == "connected"


def test_a_weight_made_of_another_one_leaves_out_a_way_of_that_one() -> None:
    torch.manual_seed(0)
    report = gradflow.check(Net(copy_of_another), inputs=torch.randn(3, 4), parameter="a.weight")
    assert (report.verdict, report.diagnostics[0].name) == ("wrong", "partial-detach")
