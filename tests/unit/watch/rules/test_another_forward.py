"""A feature of one forward, a score of another: that is the cause, also where the first one chose what is scored."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from gradflow.report import Report  # noqa: E402

Explain = Callable[[str], Report]

NET = """
torch.manual_seed(0)
kept = []
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
net[0].register_forward_hook(lambda module, inputs, output: kept.append(output))
x = torch.rand(1, 3, 8, 8)
"""


def names(report: Report) -> list[str]:
    return [one.name for one in report.diagnostics]


@pytest.mark.parametrize(
    "scored",
    [
        "k = net(x).argmax(1).item()\nscore = net(x)[0, k]",
        "k = int(net(x).argmax())\nscore = net(x)[0][k]",
        "k = net(x).argmax(1, keepdim=True)\nscore = net(x).gather(1, k).sum()",
        "k = net(x).topk(1).indices[0]\nscore = net(x).index_select(1, k).sum()",
        "k = net(x).detach().numpy().argmax(1)\nscore = net(x)[0, k].sum()",
        "mask = nn.functional.one_hot(net(x).argmax(1), 5)\nscore = (net(x) * mask).sum()",
        "m = net(x) > 0.0\nscore = net(x)[m].sum()",
    ],
)
def test_a_choice_made_by_the_first_forward_is_no_way_to_the_score(explain: Explain, scored: str) -> None:
    report = explain(f"{NET}{scored}\nkept[0].retain_grad()\ntorch.autograd.grad(score, kept[0])\n")
    assert (report.verdict, names(report)) == ("stale", ["stale-activation"])


@pytest.mark.parametrize(
    ("scored", "cause"),
    [
        # the numbers of the first forward are in the score, and a slope could be passed on
        ("y = net(x).detach()\nscore = (net(x + 1) - y).square().sum()", "detach"),
        ("y = net(x).max().item()\nscore = (net(x) / y).sum()", "numpy-roundtrip"),
        # the second forward is computed from the choice
        ("score = net(x * net(x).argmax().float()).sum()", "nondiff-op"),
        # there is one forward only
        ("y = net(x)\nscore = net[4].weight[y.argmax(1)].sum()", "nondiff-op"),
    ],
)
def test_a_way_of_its_own_is_told_by_what_cuts_it(explain: Explain, scored: str, cause: str) -> None:
    report = explain(f"{NET}{scored}\ntorch.autograd.grad(score, kept[0])\n")
    assert cause in names(report)
    assert "stale-activation" not in names(report)


def test_a_layer_that_two_models_hold_is_known_again(explain: Explain) -> None:
    source = "f = net[:2](x)\nf.retain_grad()\nk = net(x).argmax(1).item()\nnet(x)[0, k].backward()\nf.grad.sum()\n"
    report = explain(NET + source)
    assert "stale-activation" in names(report)
    assert "output-discarded" not in names(report)


def test_two_calls_in_one_forward_are_one_forward(explain: Explain) -> None:
    report = explain(
        """
        class Pair(nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder = nn.Linear(3, 2)

            def forward(self, a, b):
                return self.encoder(a), self.encoder(b)

        a, b = Pair()(torch.rand(2, 3), torch.rand(2, 3))
        a.retain_grad()
        b.sum().backward()
        print(a.grad.sum())
        """
    )
    assert names(report) == ["output-discarded"]


def test_the_same_forward_with_its_own_choice_is_healthy(explain: Explain) -> None:
    report = explain(f"{NET}y = net(x)\nprint(torch.autograd.grad(y[0, y.argmax(1).item()], kept[0])[0].sum())\n")
    assert report.diagnostics == ()
