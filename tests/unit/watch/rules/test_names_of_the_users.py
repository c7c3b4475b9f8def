"""What the user's files are called, and what a class of the user's means by a name of torch's, decides nothing."""

from __future__ import annotations

import pytest

WAITING = """
x = torch.ones(3, requires_grad=True)
unused = x * 2
unused.register_hook(lambda gradient: None)
(x.detach() * 3 * x).sum().backward()
"""


@pytest.mark.parametrize("name", ["program.py", "my_tensor.py", "overrides.py", "_tensor.py"])
def test_a_hook_is_the_programs_whatever_its_file_is_called(explain, name):
    report, as_ever = explain(WAITING, name=name), explain(WAITING)
    assert [one.name for one in report.diagnostics] == [one.name for one in as_ever.diagnostics]
    assert report.seen == as_ever.seen


def test_a_hook_that_waits_has_looked_at_nothing(explain):
    assert explain(WAITING).seen == ("1 backward pass brought gradients to 1 leaf",)
    assert explain(WAITING + "x.grad.sum()\n").seen == ("the program looked at one gradient, and it was there",)


FLAGGED = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1).requires_grad_(False)
    def forward(self, x):
        return self.layer(x)
    {own}
net, scale = Net(), nn.Parameter(torch.ones(1))
net.requires_grad = True
(net(torch.ones(1, 2)) * scale).sum().backward()
net.requires_grad_(False)
"""
PROPERTY = """
    @property
    def requires_grad(self):
        return self.layer.weight.requires_grad
    @requires_grad.setter
    def requires_grad(self, on):
        for parameter in self.parameters():
            parameter.requires_grad_(on)
"""


def test_a_property_that_sets_the_flags_of_the_parameters_is_one(explain):
    assert [one.name for one in explain(FLAGGED.format(own=PROPERTY)).diagnostics] == []


@pytest.mark.parametrize("own", ["", "requires_grad = False"])
def test_a_plain_attribute_sets_no_flag(explain, own):
    assert [one.name for one in explain(FLAGGED.format(own=own)).diagnostics] == ["not-trainable"]
