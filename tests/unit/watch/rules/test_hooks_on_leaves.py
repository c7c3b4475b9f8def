"""What a program does in the hooks that run when a leaf has got its gradient is seen: steps, reads, what is cleared."""

from __future__ import annotations

import pytest

NET = """
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
"""
EACH_ITS_OWN = """
optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in net.parameters()}

def step(p):
    optimizers[p].step()
    optimizers[p].zero_grad()

for p in net.parameters():
    p.register_post_accumulate_grad_hook(step)
for _ in range(3):
    net(torch.randn(5, 3)).pow(2).mean().backward()
"""
BY_HAND = """
def step(p):
    with torch.no_grad():
        p -= 0.1 * p.grad
    p.grad = None

for p in net.parameters():
    p.register_post_accumulate_grad_hook(step)
for _ in range(3):
    net(torch.randn(5, 3)).pow(2).mean().backward()
"""
LIMITED = """
norms = []

def limit(p):
    norms.append(p.grad.norm().item())
    p.grad.clamp_(-1, 1)

for p in net.parameters():
    p.register_post_accumulate_grad_hook(limit)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    net(torch.randn(5, 3)).pow(2).mean().backward()
    optimizer.step()
"""
TAKEN_AWAY = """
def drop(p):
    {}

for p in net[0].parameters():
    p.register_post_accumulate_grad_hook(drop)
optimizer = torch.optim.SGD(net[0].parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    net(torch.randn(5, 3)).pow(2).mean().backward()
    optimizer.step()
"""
TOO_EARLY = """
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
torch.autograd.graph.register_multi_grad_hook(
    tuple(net.parameters()), lambda gradients: optimizer.step()
)
for _ in range(3):
    net.zero_grad()
    net(torch.randn(5, 3)).pow(2).mean().backward()
"""
LAST_OF_ALL = """
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
order = []

def step(p):
    order.append(p)
    if len(order) % 4 == 0:
        optimizer.step()

for p in net.parameters():
    p.register_post_accumulate_grad_hook(step)
for _ in range(3):
    net.zero_grad()
    net(torch.randn(5, 3)).pow(2).mean().backward()
"""


@pytest.mark.parametrize("program", [EACH_ITS_OWN, BY_HAND, LIMITED, LAST_OF_ALL])
def test_work_in_a_hook_is_no_fault(explain, program):
    report = explain(NET + program)
    assert not report.diagnostics
    assert report.verdict == "connected"


@pytest.mark.parametrize("clears", ["p.grad = None", "p.grad.zero_()"])
def test_what_a_hook_takes_away_is_told_at_its_line(explain, said, clears):
    report = explain(NET + TAKEN_AWAY.format(clears))
    assert said(report) == [("zeroed-before-step", 8, "warning")]


def test_a_step_before_all_gradients_have_come_is_told(explain, said):
    report = explain(NET + TOO_EARLY)
    assert said(report) == [("no-gradient-at-step", 9, "warning")]
    assert "before the gradients of `0.weight` have come" in report.diagnostics[0].message


def test_an_optimizer_that_never_gets_a_gradient_is_told_beside_such_a_hook(explain, said):
    program = """
other = nn.Linear(2, 2)
idle = torch.optim.SGD(other.parameters(), lr=0.1)
net[0].weight.register_post_accumulate_grad_hook(lambda p: None)
for _ in range(2):
    net(torch.randn(5, 3)).pow(2).mean().backward()
    idle.step()
"""
    assert said(explain(NET + program)) == [("no-gradient-at-step", 8, "warning")]
