"""A flag that is switched when all is over changes nothing of what is said: it counts as it was at the time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("torch")

from gradflow.report import Report

Explain = Callable[[str], Report]

TRAINED = """
a, b = nn.Linear(2, 2), nn.Linear(2, 1)
optimizer = torch.optim.SGD([*a.parameters(), *b.parameters()], 0.1)
for _ in range(4):
    optimizer.zero_grad()
    b(a(torch.ones(1, 2))).sum().backward(inputs=[*b.parameters()])
    optimizer.step()
"""
REFUSED = """
layer = nn.Linear(2, 1)
{before}
try:
    {made}.sum().backward()
except RuntimeError:
    pass
"""
FREED = """
a, b = nn.Linear(2, 2), nn.Linear(2, 1)
state = a(torch.ones(1, 2))
for _ in range(2):
    try:
        b(state).sum().backward()
    except RuntimeError:
        pass
"""
LOST = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        leaf = torch.ones(2, requires_grad=True)
        self.scale = leaf * 2
        kept.append(leaf)
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x) * self.scale

kept = []
net = Net()
optimizer = torch.optim.SGD(net.parameters(), 0.1)
for _ in range(2):
    optimizer.zero_grad()
    net(torch.ones(1, 2)).sum().backward(retain_graph=True)
    optimizer.step()
"""
GATED = """
layer, gate = nn.Linear(2, 1), nn.Parameter(torch.zeros(1))
(layer(torch.ones(1, 2)) * gate).sum().backward()
print(layer.weight.grad)
"""
UNHELD = """
class Proxies(nn.Module):
    def __init__(self):
        super().__init__()
        self.centres = nn.Parameter(torch.randn(3, 4))

    def forward(self, embedded, labels):
        return nn.functional.cross_entropy(embedded @ nn.functional.normalize(self.centres).T, labels)

torch.manual_seed(0)
net, criterion = nn.Sequential(nn.Linear(5, 4), nn.Tanh()), Proxies()
optimizer = torch.optim.SGD(net.parameters(), 0.05)
for step in range(4):
    optimizer.zero_grad()
    criterion(net(torch.randn(6, 5)), torch.arange(6) % 3).backward()
    optimizer.step()
"""


def refused(made: str, before: str = "") -> str:
    return REFUSED.format(made=made, before=before)


@pytest.mark.parametrize(
    ("program", "switch", "name"),
    [
        (refused("layer(torch.ones(1, 2)).detach()"), "layer.requires_grad_(False)", "detach"),
        (
            refused("torch.tensor(layer(torch.ones(1, 2)).detach().numpy())"),
            "layer.requires_grad_(False)",
            "numpy-roundtrip",
        ),
        (
            refused("layer(torch.ones(1, 2))", "layer.requires_grad_(False)"),
            "layer.requires_grad_(True)",
            "nothing-requires-grad",
        ),
        (FREED, "b.requires_grad_(False)", "graph-freed"),
        (LOST, "kept[0].requires_grad_(False)", "unregistered-params"),
        (GATED, "gate.requires_grad_(False)", "zero-multiplier"),
        (TRAINED, "a.requires_grad_(False)", "no-gradient-at-step"),
        (UNHELD, "criterion.requires_grad_(False)", "optimizer-stale-params"),
    ],
    ids=["detach", "numpy", "thawed", "freed", "lost leaf", "gate", "inputs", "held by none"],
)
def test_what_is_said_stays(
    explain: Explain, said: Callable[[Report], object], program: str, switch: str, name: str
) -> None:
    report = explain(program)
    assert name in [one.name for one in report.diagnostics]
    after = explain(f"{program}\n{switch}\n")
    assert said(after) == said(report)


def test_a_removed_hook_of_what_was_frozen_afterwards_is_told(explain: Explain) -> None:
    report = explain("""
    layer = nn.Linear(2, 1)
    handle = layer.weight.register_hook(lambda gradient: None)
    out = layer(torch.ones(1, 2)).sum()
    handle.remove()
    out.backward()
    layer.requires_grad_(False)
    """)
    assert [text for text in report.seen if "was removed at" in text]
