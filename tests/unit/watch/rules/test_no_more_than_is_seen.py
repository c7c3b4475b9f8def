"""What stands beside a place says what was seen there, and no more."""

from __future__ import annotations

import pytest


def labels(report):
    told = report.diagnostics[0]
    return {told.label, *(one.label for one in told.annotations)}


MASKED = """
net = nn.Linear(3, 3)
hidden = torch.tensor([[True, True, True], [False, False, True]])
score = net(torch.randn(2, 3)).masked_fill(hidden, {fill}).softmax(-1)
(score @ net(torch.randn(3, 3))).square().sum().backward()
print(net.weight.grad)
"""


def test_a_row_of_minus_infinity_is_not_called_finite(explain):
    report = explain(MASKED.format(fill="float('-inf')"))
    told = report.diagnostics[0]
    assert (told.name, told.location.line) == ("nan-singularity", 6)
    assert told.label == "the result is NaN or infinite"
    assert "`-inf`" in told.helps[0].text


def test_a_large_number_in_its_place_is_no_fault(explain, said):
    assert said(explain(MASKED.format(fill="-1e4"))) == []


ASKED = """
net = nn.Linear(2, 1)
x = torch.ones(3, 2)
{before}
try:
    {ask}
except {caught} as error:
    print(error)
"""


def test_a_call_that_raised_has_returned_nothing(explain):
    report = explain(ASKED.format(before="", ask="torch.autograd.grad(net(x).sum(), x)", caught="RuntimeError"))
    told = report.diagnostics[0]
    assert told.name == "not-trainable"
    assert "torch raises here" in labels(report)
    assert not any("`None`" in label for label in labels(report))
    assert any(note.startswith("torch says: ") for note in told.notes)
    assert [one.text for one in told.helps] == ["call `.requires_grad_()` on it before the forward"]


def test_a_read_that_found_none_has_read_it(explain):
    report = explain(ASKED.format(before="net(x).sum().backward()", ask="print(x.grad)", caught="ValueError"))
    told = report.diagnostics[0]
    assert told.name == "not-trainable"
    assert "`None` is read here" in labels(report)
    assert not any(note.startswith("torch says: ") for note in told.notes)


SWAPPED = """
class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return a * b.square()
    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return 2 * a * b * g, b.square() * g
left, right = nn.Linear(4, 6), nn.Linear(4, 6)
x = torch.randn(8, 4)
Product.apply(left(x), right(x)).sum().backward()
"""


def test_a_gradient_that_comes_and_is_wrong_is_kept_from_nobody(explain):
    report = explain(SWAPPED)
    assert [one.name for one in report.diagnostics] == ["custom-function", "custom-function"]
    assert all(one.hides == () for one in report.diagnostics)
    assert "keeps the gradient from" not in str(report)
    assert "along random directions" in report.diagnostics[0].notes[0]


ADAPTED = """
class Adapter(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a, self.b = nn.Parameter(torch.zeros(2, 4)), nn.Parameter(torch.zeros(4, 2))
    def forward(self, x):
        return self.base(x) + (x @ self.a.T @ self.b.T)
net = nn.Sequential({layers})
net(torch.randn(3, 4)).square().sum().backward()
print(net[0].a.grad)
"""


@pytest.mark.parametrize(
    ("layers", "module"),
    [
        ("Adapter(nn.Linear(4, 4)), nn.Tanh(), Adapter(nn.Linear(4, 4))", ""),
        ("Adapter(nn.Linear(4, 4)), nn.Tanh(), nn.Linear(4, 4)", "net[0]"),
    ],
)
def test_a_line_at_which_it_ends_in_two_modules_is_of_neither_alone(explain, layers, module):
    told = explain(ADAPTED.format(layers=layers)).diagnostics[0]
    assert (told.name, told.location.line, told.module) == ("zero-multiplier", 10, module)


HALF_FROZEN = """
frozen, net = nn.Linear(4, 4).requires_grad_({flag}), nn.Linear(4, 2)
optimizer = torch.optim.SGD([*frozen.parameters(), *net.parameters()], 0.1)
for _ in range(2):
    optimizer.zero_grad()
    net(frozen(torch.randn(3, 4))).square().mean().backward()
    optimizer.step()
"""


def test_frozen_parameters_of_an_optimizer_are_not_counted_and_that_is_said(explain):
    (seen,) = explain(HALF_FROZEN.format(flag="False")).seen
    assert seen == "both parameters in `SGD` that require grad got a gradient in 2 of 2 steps"
    (seen,) = explain(HALF_FROZEN.format(flag="True")).seen
    assert seen == "all 4 parameters in `SGD` got a gradient in 2 of 2 steps"
