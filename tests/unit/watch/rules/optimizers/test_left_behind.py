"""What a program moves without an optimizer of torch, and what it leaves behind."""

from __future__ import annotations

import pytest

from gradflow.watch.facts.moved_by_hand import moved_by_hand

NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head, self.spare = nn.Linear(4, 5), nn.Linear(5, 2), nn.Linear(4, 2)

    def forward(self, x):
        return self.head({between})  # the forward

torch.manual_seed(0)
net, other = Net(), Net()
other.load_state_dict(net.state_dict())
{before}
for step in range(3):
    loss = net(torch.randn(3, 4)).square().mean()
    loss.backward()
    with torch.no_grad():
        given = [p for p in net.parameters() if p.grad is not None]
        {move}
    net.zero_grad()
"""

FORWARD = 10
EACH = "for p in given: p -= 0.1 * p.grad"
MOVES = {
    "operator": EACH,
    "method": "for p in given: p.add_(p.grad, alpha=-0.1)",
    "data": "for p in given: p.data.sub_(0.1 * p.grad)",
    "new data": "for p in given: p.data = p.data - 0.1 * p.grad",
    "copy": "for p in given: p.copy_(p - 0.1 * p.grad)",
    "at once": "torch._foreach_add_(given, [p.grad for p in given], alpha=-0.1)",
}


def program(between="self.body(x).detach()", move=EACH, before=""):
    return NET.format(between=between, move=move, before=before)


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_what_is_cut_is_told_beside_what_is_moved(explain, said, move):
    report = explain(program(move=move))
    assert (report.verdict, said(report)) == ("connected", [("detach", FORWARD, "info")])
    assert "`body.weight` and 1 more in 3 backward passes" in report.diagnostics[0].message


def test_an_optimizer_of_ones_own_is_seen_by_what_it_does(explain, said):
    own = """
class Own:
    def __init__(self, parameters):
        self.held = list(parameters)

    def step(self):
        for p in self.held:
            if p.grad is not None:
                p.data.add_(p.grad, alpha=-0.1)

optimizer = Own(net.parameters())
"""
    report = explain(program(move="optimizer.step()", before=own))
    assert said(report) == [("detach", FORWARD, "info")]


@pytest.mark.parametrize(
    "changes",
    [
        {"between": "self.body(x)"},
        {"before": "net.body.requires_grad_(False)"},
        {"move": "pass"},
        {"between": "other.body(x).detach()"},
        {"between": "self.body.weight.new_ones(3, 5)"},
        {"move": EACH + "\n        net.body.weight.mul_(0.9)\n        net.body.bias.mul_(0.9)"},
    ],
    ids=["whole", "frozen", "nothing moves", "of another model", "not used", "moved in another way"],
)
def test_nothing_is_left_behind(explain, said, changes):
    report = explain(program(**changes))
    assert (report.verdict, said(report)) == ("connected", [])


def test_an_optimizer_of_torch_is_asked_what_it_holds(explain, said):
    held = "optimizer = torch.optim.SGD(net.head.parameters(), 0.1)"
    assert said(explain(program(move="optimizer.step()", before=held))) == []
    held = "optimizer = torch.optim.SGD(net.parameters(), 0.1)"
    assert said(explain(program(move="optimizer.step()", before=held)))[0] == ("detach", FORWARD, "warning")


def test_what_another_thread_may_have_brought_is_not_denied(explain, said):
    elsewhere = """
import threading
thread = threading.Thread(target=lambda: net.spare(torch.ones(1, 4)).sum().backward())
thread.start()
thread.join()
"""
    report = explain(program(before=elsewhere))
    assert said(report) == []
    assert report.undetermined


def test_writing_before_a_gradient_came_moves_nothing_along_it():
    torch = pytest.importorskip("torch")
    from gradflow.record.program.watching import Watch
    from gradflow.watch.observing import observation_of

    first, later = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    watch = Watch()
    with watch.watching():
        with torch.no_grad():
            first.weight.mul_(2)
        (first(torch.ones(1, 2)) + later(torch.ones(1, 2))).sum().backward()
        with torch.no_grad():
            later.weight.mul_(2)
    observation = observation_of(watch)
    assert moved_by_hand(observation) == {observation.program.modules[1].parameters[0]}
