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
