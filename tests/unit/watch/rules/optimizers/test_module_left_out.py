"""A loss with weights of its own beside a model: a word, where no optimizer holds any of it."""

from __future__ import annotations

import pytest

PROGRAM = """
class Proxies(nn.Module):
    def __init__(self):
        super().__init__()
        self.centres = nn.Parameter(torch.randn(3, 4))

    def forward(self, embedded, labels):
        {first}
        return nn.functional.cross_entropy(embedded @ nn.functional.normalize(self.centres).T, labels)

torch.manual_seed(0)
net, criterion = nn.Sequential(nn.Linear(5, 4), nn.Tanh()), Proxies()
{before}
optimizer = torch.optim.SGD({held}, lr=0.05)  # its place
x, y = torch.randn(6, 5), torch.arange(6) % 3
for step in range(4):
    optimizer.zero_grad()
    {run}
    {after}
    optimizer.step()
"""
PLACE = 16
TRAIN = "criterion(net(x), y).backward()"


def program(first="", before="", held="net.parameters()", run=TRAIN, after=""):
    return PROGRAM.format(first=first, before=before, held=held, run=run, after=after)


@pytest.mark.parametrize("first", ["", "self.centres.data = self.centres.data"], ids=["plain", "the same data again"])
def test_no_optimizer_holds_it(explain, said, first):
    report = explain(program(first=first))
    assert (report.verdict, said(report)) == ("connected", [("optimizer-stale-params", PLACE, "info")])
    assert "`centres` of `Proxies`" in report.diagnostics[0].message


def test_a_head_of_its_own_that_nobody_trains(explain, said):
    run = "nn.functional.cross_entropy(head(net(x)), y).backward()"
    report = explain(program(before="head = nn.Linear(4, 3)", run=run))
    assert said(report) == [("optimizer-stale-params", PLACE, "info")]


@pytest.mark.parametrize(
    "changes",
    [
        {"held": "[*net.parameters(), *criterion.parameters()]"},
        {"before": "criterion.requires_grad_(False)"},
        {"before": "criterion.eval()"},
        {"run": "nn.functional.cross_entropy(net(x), y).backward()"},
        {"after": "with torch.no_grad(): criterion.centres -= 0.1 * criterion.centres.grad\n    criterion.zero_grad()"},
        {"after": "criterion.centres.data = criterion.centres.data - 0.1"},
        {"before": "own = torch.optim.Adam(criterion.parameters())", "after": "own.step(); own.zero_grad()"},
        {"held": "net[0].parameters()", "run": "nn.functional.cross_entropy(net(x), y).backward()"},
        {"held": "[net[0].weight]", "run": "nn.functional.cross_entropy(net(x), y).backward()"},
        {
            "before": "picture = torch.zeros(6, 5, requires_grad=True)",
            "held": "[picture]",
            "run": "criterion(net(x + picture), y).backward()",
        },
        {"held": "criterion.parameters()"},
        {"run": "(criterion(net(x), y) + net(x).square().mean()).backward()"},
    ],
    ids=[
        "held",
        "frozen",
        "in eval mode",
        "it does not run",
        "moved by hand",
        "moved through data",
        "held by another",
        "all of one model",
        "a part of one model",
        "a picture is made",
        "what goes into it is left as it is",
        "a term beside it",
    ],
)
def test_it_is_held_or_not_to_learn(explain, said, changes):
    report = explain(program(**changes))
    assert (report.verdict, said(report)) == ("connected", [])


def test_two_networks_that_play_against_each_other_have_an_optimizer_each(explain, said):
    game = """
maker, judge = nn.Linear(2, 3), nn.Linear(3, 1)
of_maker, of_judge = (torch.optim.SGD(part.parameters(), 0.1) for part in (maker, judge))
for step in range(3):
    of_judge.zero_grad()
    (judge(maker(torch.randn(4, 2)).detach()).mean() - judge(torch.randn(4, 3)).mean()).backward()
    of_judge.step()
    of_maker.zero_grad()
    (-judge(maker(torch.randn(4, 2))).mean()).backward()
    of_maker.step()
"""
    assert [one for one in said(explain(game)) if one[0] == "optimizer-stale-params"] == []
