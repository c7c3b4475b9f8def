"""A value made once of a parameter is out of date after a step, unless it is a view, by whatever operation."""

from __future__ import annotations

import pytest

ONCE = """
w = nn.Parameter(torch.ones(2, 4))
optimizer = torch.optim.SGD([w], 0.1)
value = {make}
for _ in range(3):
    optimizer.zero_grad()
    (value * 2.0).sum().abs().backward({retain})
    optimizer.step()
"""


@pytest.mark.parametrize(
    "make",
    [
        "w.ravel()",
        "w.swapdims(0, 1)",
        "torch.moveaxis(w, 0, 1)",
        "w.adjoint()",
        "w.broadcast_to(3, 2, 4)",
        "w.unfold(1, 2, 2)",
        "w.as_strided((2, 2), (4, 1))",
        "torch.view_as_complex(w.view(4, 2))",
        "w.hsplit(2)[0]",
        "w[1:]",
    ],
)
def test_a_view_moves_with_its_parameter(explain, make):
    assert explain(ONCE.format(make=make, retain="retain_graph=True")).diagnostics == ()


@pytest.mark.parametrize("make", ["w * 1.0", "w.t().contiguous().view(8)", "w[[0, 1]]", "w.clone().view(8)"])
def test_a_copy_does_not(explain, said, make):
    report = explain(ONCE.format(make=make, retain="retain_graph=True"))
    assert said(report) == [("stale-activation", 6, "warning")]


CALIBRATED = """
class Shift(nn.Module):
    def __init__(self):
        super().__init__()
        self.b = nn.Parameter(torch.zeros(4))
        self.is_new = True
    def forward(self, x):
        if self.is_new:
            {write}
            self.is_new = False
        return {use}
net = nn.Sequential(nn.Linear(4, 4), Shift(), nn.Linear(4, 1))
optimizer = torch.optim.SGD(net.parameters(), 0.1)
for _ in range(3):
    optimizer.zero_grad()
    net(torch.randn(8, 4)).pow(2).mean().backward({retain})
    optimizer.step()
"""


@pytest.mark.parametrize(
    "write",
    [
        "with torch.no_grad(): self.b.copy_(-x.mean(0))",
        "with torch.no_grad(): self.b.sub_(x.mean(0))",
        "with torch.no_grad(): self.b[1:] = x.mean(0)[1:]",
        "with torch.no_grad(): self.b[1:].copy_(x.mean(0)[1:])",
        "self.b.data = -x.mean(0)",
        "self.b.data.copy_(-x.mean(0))",
        "self.b.data.copy_(-x.mean(0)); self.b.data.mul_(2.0)",
        "torch.nn.init.normal_(self.b); self.b.data += x.mean(0)",
    ],
)
def test_a_parameter_that_is_set_by_what_its_layer_is_given_first_learns_on(explain, write):
    assert explain(CALIBRATED.format(write=write, use="x + self.b", retain="")).diagnostics == ()


def test_what_is_computed_from_such_a_parameter_once_is_out_of_date(explain, said):
    write = "self.b.data.copy_(-x.mean(0)); self.shift = self.b.exp().tanh()"
    report = explain(CALIBRATED.format(write=write, use="x + self.shift", retain="retain_graph=True"))
    assert [(name, severity) for name, _, severity in said(report)][:1] == [("stale-activation", "warning")]


@pytest.mark.parametrize("begin", ["w.detach().clone().requires_grad_()", "nn.Parameter(w.detach() * 2)"])
def test_a_leaf_that_began_as_a_copy_of_another_one_is_its_own(explain, begin):
    report = explain(f"""
    w = nn.Parameter(torch.ones(4))
    own = {begin}
    optimizer = torch.optim.SGD([w, own], 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (w * own).sum().pow(2).backward()
        optimizer.step()
    """)
    assert report.diagnostics == ()


def test_a_buffer_that_took_over_a_history_is_out_of_date(explain, said):
    report = explain("""
    w, shift = nn.Parameter(torch.ones(4)), torch.zeros(4)
    shift.copy_(w.exp())
    optimizer = torch.optim.SGD([w], 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (shift * 2.0).sum().backward(retain_graph=True)
        optimizer.step()
    """)
    assert [name for name, _, _ in said(report)] == ["stale-activation"]
