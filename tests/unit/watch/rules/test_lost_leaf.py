"""A parameter that is computed with as it is made is no parameter: the leaf is held by nobody, and never learns."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from gradflow.report import Report  # noqa: E402

Explain = Callable[[str], Report]

TRAINED = """
class Prompt(nn.Module):
    def __init__(self):
        super().__init__()
        {made}
        self.fc = nn.Linear(4, 1)

    def forward(self, x):
        {forward}

model = Prompt()
optimizer = torch.optim.SGD({held}, 0.1)
for _ in range(2):
    optimizer.zero_grad()
    model(torch.rand(2, 4)).sum().backward(retain_graph=True)
    optimizer.step()
"""
FORWARD = "return self.fc(x * self.prompt.to(x.dtype))"


def program(made: str, forward: str = FORWARD, held: str = "model.parameters()") -> str:
    return TRAINED.format(made=made, forward=forward, held=held)


@pytest.mark.parametrize(
    "made",
    [
        "self.prompt = nn.Parameter(torch.rand(4)) * 0.02",
        "self.prompt = nn.Parameter(torch.rand(4)).to(torch.float64)",
        "self.prompt = torch.mul(torch.rand(4, requires_grad=True), 0.5)",
        "raw = nn.Parameter(torch.rand(2, 2)); self.prompt = raw.exp().reshape(4)",
    ],
)
def test_a_leaf_that_nobody_holds_never_learns(explain: Explain, made: str) -> None:
    found = explain(program(made)).diagnostics
    assert [(one.name, one.location.line if one.location else 0) for one in found] == [("unregistered-params", 7)]
    assert "`prompt`" in found[0].message


@pytest.mark.parametrize(
    ("made", "forward", "held"),
    [
        # the finished values are made a parameter, and one that is registered is computed with
        ("self.prompt = nn.Parameter(torch.rand(4) * 0.02)", FORWARD, "model.parameters()"),
        ("self.raw = nn.Parameter(torch.rand(4)); self.prompt = self.raw * 0.02", FORWARD, "model.parameters()"),
        # an optimizer holds the leaf
        ("raw.requires_grad_(); self.prompt = raw * 0.02", FORWARD, "[*model.parameters(), raw]"),
        # what a forward keeps for later
        ("self.kept = None", "self.kept = self.fc(x); return self.kept", "model.parameters()"),
        # it does not require grad
        ("self.prompt = torch.rand(4) * 0.02", FORWARD, "model.parameters()"),
    ],
)
def test_what_is_held_or_need_not_learn_is_no_fault(explain: Explain, made: str, forward: str, held: str) -> None:
    found = explain("raw = torch.rand(4)\n" + program(made, forward, held)).diagnostics
    # that a value is older than what it was computed from is another finding
    assert {one.name for one in found} <= {"stale-activation"}
