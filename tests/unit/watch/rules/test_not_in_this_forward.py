"""An expert that was not chosen: the score is of a forward that does not use it, and of no "other output"."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from gradflow.report import Report  # noqa: E402

Explain = Callable[[str], Report]

EXPERTS = """
class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x, chosen):
        total = 0.0
        for i in chosen:
            x = x + self.experts[i](x)
            total = total + x.square().mean()
        return x, total

model, x = Experts(), torch.rand(2, 4)
"""


def said(report: Report) -> str:
    found = report.diagnostics[0]
    return " ".join([found.message, found.label, *found.notes])


def test_the_forward_of_the_score_is_told_from_the_one_that_uses_it(explain: Explain) -> None:
    report = explain(
        EXPERTS
        + """
y, total = model(x, (0, 1))
y, total = model(x, (0, 2))
(y.sum() + total).backward()
print(model.experts[1].weight.grad.sum())
"""
    )
    found = report.diagnostics[0]
    assert (found.name, found.severity, found.location.line if found.location else 0) == (
        "output-discarded",
        "error",
        19,
    )
    assert "a forward that does not use it" in said(report)
    assert "another output" not in said(report)
    assert next((one.span.line, one.label) for one in found.annotations) == (
        18,
        "`experts.1.weight` is used in this forward",
    )


def test_what_the_same_forward_returns_beside_the_score_is_another_output(explain: Explain) -> None:
    report = explain(
        """
        class Two(nn.Module):
            def __init__(self):
                super().__init__()
                self.a, self.b = nn.Linear(4, 2), nn.Linear(4, 2)

            def forward(self, x):
                return self.a(x), self.b(x)

        first, second = Two()(torch.rand(2, 4))
        first.retain_grad()
        second.sum().backward()
        print(first.grad.sum())
        """
    )
    assert "another output" in said(report)


def test_experts_that_learn_in_some_steps_are_no_fault(explain: Explain) -> None:
    report = explain(
        EXPERTS
        + """
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for chosen in ((0, 1, 2), (0, 2), (1,)):
    optimizer.zero_grad()
    y, total = model(x, chosen)
    (y.sum() + total).backward()
    gradients = [p.grad for p in model.parameters()]
    optimizer.step()
    print(sum(g is None for g in gradients))
"""
    )
    assert report.verdict == "connected"
    assert all(one.severity == "info" for one in report.diagnostics)
    assert not any("another output" in note for one in report.diagnostics for note in one.notes)
