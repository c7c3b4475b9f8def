"""A hook that is given zeros, or NaN, in every pass of the program: also in those that are not kept."""

from __future__ import annotations

import pytest

LATE = """
body, head = nn.Linear(2, 2), nn.Linear(2, 1)
with torch.no_grad():
    head.weight.zero_()
optimizer = torch.optim.SGD(body.parameters(), 0.1)
for turn in range(40):
    optimizer.zero_grad()
    if turn == {wakes}:
        with torch.no_grad():
            head.weight.fill_(1.0)
    hidden = body(torch.ones(1, 2, requires_grad=True))
    {hook}
    head(hidden).sum().backward()
    optimizer.step()
"""
ON_TENSOR = "hidden.register_hook(lambda gradient: None)"
ON_MODULE = "body._backward_hooks or body.register_full_backward_hook(lambda module, inputs, outputs: None)"


@pytest.mark.parametrize("hook", [ON_TENSOR, ON_MODULE])
def test_a_gradient_that_comes_late_did_come(explain, hook):
    report = explain(LATE.format(wakes=25, hook=hook))
    assert report.diagnostics == ()
    assert report.verdict == "connected"


@pytest.mark.parametrize("hook", [ON_TENSOR, ON_MODULE])
def test_a_hook_that_is_given_zeros_in_all_passes_is_told(explain, said, hook):
    report = explain(LATE.format(wakes=99, hook=hook))
    assert report.verdict == "zero"
    assert said(report)[0][::2] == ("zero-multiplier", "error")


def test_what_was_not_watched_to_the_end_is_no_all(explain):
    report = explain(LATE.format(wakes=25, hook=ON_TENSOR), steps=10)
    assert report.diagnostics == ()
    assert report.undetermined == ("what happened later: gradflow stepped aside after 10 backward passes",)
