"""An optimizer of an older or another model than the one that gets the gradients, beside optimizers of a part only."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[..., Report]
Said = Callable[[Report], list[tuple[str, int | None, str]]]

RESUMED = """
import copy, io

def make():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

def train(model):
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.ones(2, 3)).square().mean().backward()
        optimizer.step()

def saved(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return file

net = make()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
train(net)
{between}
train(net)
"""
ANEW = "optimizer = torch.optim.SGD(net.parameters(), lr=0.1)"
COPIES = [
    "net = copy.deepcopy(net)",
    "net = torch.load(saved(net), weights_only=False)",
    "state = net.state_dict(); net = make(); net.load_state_dict(state)",
]


@pytest.mark.parametrize("between", COPIES)
def test_the_optimizer_of_the_model_before(explain: Explain, said: Said, between: str) -> None:
    report = explain(RESUMED.format(between=between))
    place = 7 if "make()" in between else 24
    assert [(name, severity) for name, _, severity in said(report)] == [("optimizer-stale-params", "warning")]
    assert report.diagnostics[0].message.startswith("gradients arrive at `0.weight` and 3 more, which no optimizer")
    assert said(report)[0][1] == place


@pytest.mark.parametrize(
    "between",
    [
        *(f"{copied}; {ANEW}" for copied in COPIES),
        *(f"{copied}; optimizer.add_param_group({{'params': list(net.parameters())}})" for copied in COPIES),
        "net.load_state_dict(torch.load(saved(net), weights_only=False).state_dict())",
        "best = copy.deepcopy(net)",
        "net[0].requires_grad_(False)",
    ],
)
def test_an_optimizer_of_the_model_that_runs(explain: Explain, between: str) -> None:
    assert not explain(RESUMED.format(between=between)).diagnostics


def test_a_copy_that_the_program_moves_itself(explain: Explain) -> None:
    """A loop without an optimizer, while one goes on stepping in vain."""
    by_hand = (
        "net = copy.deepcopy(net)\n"
        "step = optimizer.step\n"
        "def by_hand():\n"
        "    step()\n"
        "    with torch.no_grad():\n"
        "        for p in net.parameters(): p -= 0.1 * p.grad\n"
        "optimizer.step = by_hand"
    )
    report = explain(RESUMED.format(between=by_hand))
    assert "optimizer-stale-params" not in [one.name for one in report.diagnostics]


TWO = """
a, b = nn.Linear(3, 2), nn.Linear(4, 2)
first = torch.optim.SGD({first}, lr=0.1)
second = torch.optim.SGD({second}, lr=0.1)
for _ in range(3):
    first.zero_grad()
    second.zero_grad()
    (a(torch.ones(5, 3)) - b(torch.ones(5, 4))).square().mean().backward()
    first.step()
    second.step()
"""


def test_two_optimizers_of_one_model_and_none_of_the_other(explain: Explain, said: Said) -> None:
    report = explain(TWO.format(first="a.parameters()", second="a.parameters()"))
    assert said(report) == [("optimizer-stale-params", 6, "warning")]
    assert "none holds" in report.diagnostics[0].message


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.parameters()", "b.parameters()"),
        ("[a.weight]", "[a.bias]"),  # `b` is left as it is
        ("[*a.parameters(), *b.parameters()]", "[*a.parameters(), *b.parameters()]"),
    ],
)
def test_optimizers_of_what_they_are_to_move(explain: Explain, first: str, second: str) -> None:
    assert not explain(TWO.format(first=first, second=second)).diagnostics


WARM_UP = """
body, first, main, later = nn.Linear(3, 4), nn.Linear(4, 1), nn.Linear(4, 1), nn.Linear(4, 1)
optimizer = torch.optim.Adam([*body.parameters(), *first.parameters(), *main.parameters()], lr=0.01)
for turn in range(8):
    {freeze}
    optimizer.zero_grad()
    features = body(torch.ones(2, 3)).tanh()
    aside = first if turn < 3 else later
    (main(features) + aside(features)).square().mean().backward()
    optimizer.step()
"""


@pytest.mark.parametrize("freeze", ["pass", "body.requires_grad_(turn < 3)"])
def test_a_part_of_what_is_held_may_come_to_an_end(explain: Explain, said: Said, freeze: str) -> None:
    """A head for a warm-up, and one that comes in its place and is not to learn: the rest learns on."""
    assert said(explain(WARM_UP.format(freeze=freeze))) == []


TAKING_OVER = """
body, head = nn.Linear(3, 4), nn.Linear(4, 1)
first = torch.optim.Adam(head.parameters(), lr=0.01)
second = {second}(head.parameters(), lr=0.01)
for turn in range(8):
    head.zero_grad()
    head(body(torch.ones(2, 3)).tanh()).square().mean().backward()
    {steps}
"""
WITH_ANOTHER = """
class Both(torch.optim.SGD):
    def step(self):
        super().step()
        first.step()
"""


@pytest.mark.parametrize(
    ("second", "steps", "expected"),
    [
        ("torch.optim.SGD", "(first if turn < 4 else second).step()", []),
        ("Both", "second.step()", []),
        ("torch.optim.SGD", "first.step(); second.step()", [("optimizer-stale-params", 11, "warning")]),
    ],
)
def test_one_optimizer_may_take_over_from_another_or_step_with_it(
    explain: Explain, said: Said, second: str, steps: str, expected: list[tuple[str, int, str]]
) -> None:
    assert said(explain(WITH_ANOTHER + TAKING_OVER.format(second=second, steps=steps))) == expected


BEFORE = """
import copy
net = nn.Linear(3, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
{once}
for _ in range(3):
    {each}
    optimizer.zero_grad()
    net(torch.ones(2, 3)).square().mean().backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("once", "each", "told", "help_text"),
    [
        ("nn.utils.parametrizations.weight_norm(net)", "pass", "in its place", "make the optimizer after this"),
        ("net = copy.deepcopy(net)", "pass", "the copy gets the gradients", "make the optimizer after this"),
        ("first = net", "net = copy.deepcopy(first)", "the copy gets the gradients", "functional_call"),
    ],
    ids=["a parameter is replaced", "the model is copied once", "a copy in every step"],
)
def test_what_is_made_of_the_parameters_after_the_optimizer(
    explain: Explain, once: str, each: str, told: str, help_text: str
) -> None:
    (found,) = explain(BEFORE.format(once=once, each=each)).diagnostics
    assert found.code == "GF305"
    assert told in found.label
    assert help_text in found.helps[0].text
