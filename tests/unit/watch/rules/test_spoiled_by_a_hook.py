"""GF407: a hook that the program registered makes NaN or infinity of a gradient that was finite."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[..., Report]

PROGRAM = """
    net, head = nn.Linear(3, 3), nn.Linear(3, 1)
    h = net(torch.ones(2, 3))
    {register}
    loss = head({reader}).sum()
    loss.backward()
    print(net.weight.grad)
"""


@pytest.mark.parametrize(
    "register",
    [
        "net.weight.register_hook(lambda g: g / 0.0)",
        "h.register_hook(lambda g: g * float('inf'))",
        "net.register_full_backward_pre_hook(lambda m, g: (g[0] / 0,)); h = net(torch.ones(2, 3).requires_grad_())",
    ],
)
def test_the_line_of_the_hook_is_told(explain: Explain, register: str) -> None:
    (found,) = explain(PROGRAM.format(register=register, reader="h")).diagnostics
    assert (found.name, found.severity) == ("nan-singularity", "error")
    assert "a hook makes it so" in found.message
    assert found.location is not None
    assert found.location.line == 6
    assert not any("clamp" in one.text for one in found.helps)


@pytest.mark.parametrize("hook", ["lambda g: g * 2", "lambda g: g / 0.0 if False else None"])
def test_a_hook_that_is_given_what_is_bad_already_is_not_to_blame(explain: Explain, hook: str) -> None:
    register = f"h.register_hook({hook})"
    (found,) = explain(PROGRAM.format(register=register, reader="(h - h.detach()).sqrt() * h")).diagnostics
    assert found.name == "nan-singularity"
    assert "`sqrt`" in found.message
