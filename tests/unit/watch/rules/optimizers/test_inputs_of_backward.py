"""``backward(inputs=...)`` fills the ``.grad`` of what it names: what it leaves out is told there."""

from __future__ import annotations

import pytest

STEPS = """
body, head, idle = nn.Linear(3, 4), nn.Linear(4, 1), nn.Linear(2, 2)
optimizer = torch.optim.SGD([*body.parameters(), *head.parameters(), {more}], 0.1)
for _ in range(2):
    optimizer.zero_grad()
    loss = head(body(torch.randn(5, 3)).relu()).square().mean()
    loss.backward({inputs})
    optimizer.step()
"""
PLAIN = "if it is to learn, let the loss be computed from it"


@pytest.mark.parametrize("inputs", ["inputs=list(head.parameters())", "None, False, False, head.weight"])
def test_what_it_leaves_out_is_told_at_the_backward(explain, said, inputs):
    report = explain(STEPS.format(more="", inputs=inputs))
    assert said(report) == [("no-gradient-at-step", 9, "warning")]
    (told,) = report.diagnostics
    assert "`inputs`" in told.label
    assert told.helps[0].text == "if they are to learn, name them in `inputs` too, or leave `inputs` out"
    assert {one.span.line for one in told.annotations if one.span} == {5, 10}


@pytest.mark.parametrize(
    "inputs", ["", "inputs=[*body.parameters(), *head.parameters()]", "inputs=[*head.parameters()]"]
)
def test_what_the_loss_is_not_computed_from_is_told_at_the_optimizer(explain, said, inputs):
    report = explain(STEPS.format(more="*idle.parameters()", inputs=inputs))
    assert said(report) == [("no-gradient-at-step", 5, "warning")]
    assert report.diagnostics[0].helps[0].text == PLAIN


def test_all_that_the_optimizer_holds_may_be_named(explain, said):
    assert said(explain(STEPS.format(more="", inputs="inputs=[*body.parameters(), *head.parameters()]"))) == []
