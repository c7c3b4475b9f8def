"""GF205: `retain_grad()` after the backward whose gradient it was to keep, beside a backward that still comes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[..., Report]

FORWARD = """
    net, head = nn.Conv2d(1, 3, 3), nn.Linear(3, 2)
    features = net(torch.ones(1, 1, 6, 6)).relu()
    score = head(features.mean((2, 3)))[0, 1]
"""


@pytest.mark.parametrize("keep", ["features.retain_grad()", "torch.Tensor.retain_grad(features)"])
def test_kept_when_the_gradient_has_passed(explain: Explain, said: Callable[[Report], object], keep: str) -> None:
    report = explain(f"{FORWARD}\n    score.backward()\n    {keep}\n    print(features.grad)\n")
    assert said(report) == [("non-leaf-grad", 9, "error")]
    (found,) = report.diagnostics
    assert [(one.span.line, one.label) for one in found.annotations] == [
        (8, "the gradient passes through it here, and is not kept"),
        (10, "`None` is read here"),
    ]


def test_kept_for_the_backward_that_comes(explain: Explain) -> None:
    """Whatever ran before: the one after `retain_grad()` fills it."""
    report = explain(
        f"{FORWARD}\n    score.backward(retain_graph=True)\n    features.retain_grad()\n    score.backward()\n"
        "    print(features.grad.norm())\n"
    )
    assert not report.diagnostics


def test_kept_in_time_and_kept_again(explain: Explain) -> None:
    report = explain(
        f"{FORWARD}\n    features.retain_grad()\n    score.backward()\n    features.retain_grad()\n"
        "    print(features.grad.norm())\n"
    )
    assert not report.diagnostics


def test_told_to_keep_it_between_two_passes(explain: Explain, said: Callable[[Report], object]) -> None:
    """The first print shows `None`, and the second what the second pass brought, which may be all that was wanted."""
    report = explain(
        f"{FORWARD}\n    score.backward(retain_graph=True)\n    features.retain_grad()\n    print(features.grad)\n"
        "    score.backward()\n    print(features.grad.norm())\n"
    )
    assert said(report) == [("non-leaf-grad", 9, "info")]


@pytest.mark.filterwarnings("ignore:The .grad attribute")
@pytest.mark.parametrize(("read", "passes"), [("features", True), ("net(torch.ones(1, 1, 6, 6))", False)])
def test_that_a_gradient_passes_is_said_where_a_backward_did(explain: Explain, read: str, passes: bool) -> None:
    (found,) = explain(f"{FORWARD}\n    score.backward()\n    print({read}.grad)\n").diagnostics
    notes = " ".join(found.notes)
    assert found.name == "non-leaf-grad"
    assert ("does pass through it" in notes) == passes
    assert ("no backward before this read" in notes) != passes


@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_a_backward_of_an_earlier_turn_did_pass_what_that_turn_computed(explain: Explain) -> None:
    turns = "net, kept = nn.Linear(2, 2), []\nfor _ in range(3):\n    kept.append(net(torch.ones(1, 2)))\n"
    (found,) = explain(f"{turns}    kept[-1].sum().backward()\nprint(kept[0].grad)\n").diagnostics
    assert found.name == "non-leaf-grad"
    assert "does pass through it" in " ".join(found.notes)
