"""A `backward` of a module means nothing to autograd: told by whether it runs, not by what its argument is called."""

from __future__ import annotations

import pytest

REVERSAL = """
class Reversal(nn.Module):
    def forward(self, x):
        return {output}
    def backward(self, {arguments}):
        return {result}
net, reversal = nn.Linear(2, 2), Reversal()
result = reversal(net(torch.ones(1, 2)))
sum(one.sum() for one in (result if isinstance(result, tuple) else (result,))).backward()
{after}
"""


@pytest.mark.parametrize("name", ["grad", "upstream", "dy", "x"])
def test_one_that_nobody_calls_is_told(explain, said, name):
    report = explain(REVERSAL.format(output="x", arguments=name, result=f"-{name}", after=""))
    assert said(report) == [("custom-function", 7, "error")]
    assert report.verdict == "wrong"
    assert "autograd does not call `Reversal.backward`" in report.diagnostics[0].message


@pytest.mark.parametrize("name", ["grad", "upstream"])
def test_one_that_the_program_calls_is_its_own_affair(explain, name):
    after = "reversal.backward(torch.ones(1, 2))"
    report = explain(REVERSAL.format(output="x", arguments=name, result=f"-{name}", after=after))
    assert report.diagnostics == ()


def test_one_that_begins_a_backward_pass_is_no_formula(explain):
    report = explain(REVERSAL.format(output="x", arguments="grad", result="grad.sum().backward()", after=""))
    assert report.diagnostics == ()


def test_one_that_hands_on_to_others_which_run_is_called_too(explain):
    report = explain(
        """
        class Part(nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.ones(1))
            def forward(self, x):
                return x * self.scale
            def backward(self, gradient):
                return gradient * self.scale.detach()
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.part = Part()
            def forward(self, x):
                return self.part(x)
            def backward(self, gradient):
                return self.part.backward(gradient)
        net = Net()
        net(torch.ones(1, 2)).sum().backward()
        net.backward(torch.ones(1, 2))
        """
    )
    assert report.diagnostics == ()


@pytest.mark.parametrize(
    ("output", "arguments", "is_told"),
    [
        ("x", "loss, optimizer", False),
        ("x", "gradient, scale=1.0", True),
        ("x", "*gradients", True),
        ("(x, x * 2)", "first, second", True),
        ("(x, x * 2)", "first", False),
    ],
)
def test_it_takes_a_gradient_for_each_output(explain, output, arguments, is_told):
    report = explain(REVERSAL.format(output=output, arguments=arguments, result="None", after=""))
    assert [one.name for one in report.diagnostics] == (["custom-function"] if is_told else [])


def test_what_was_not_watched_to_the_end_may_have_called_it(explain):
    source = REVERSAL.format(
        output="x", arguments="grad", result="-grad", after="net(torch.ones(1, 2)).sum().backward()"
    )
    report = explain(source, steps=1)
    assert [one.severity for one in report.diagnostics] == ["info"]
    assert report.verdict == "connected"
