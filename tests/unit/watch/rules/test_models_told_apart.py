"""Models with the same names inside are told apart by what the program calls them, where it has a word for each."""

from __future__ import annotations

from collections.abc import Callable

from gradflow.report import Report

Explain = Callable[..., Report]

TWO = """
class Both:
    def __init__(self):
        self.G, self.D = (nn.Sequential(nn.Linear(2, 2), nn.Tanh()) for _ in range(2))
both = Both()
G, D = both.G, both.D
def through(model, x):
    return model(x)
loss = {loss}
loss.backward()
G[0].weight.grad.sum()
"""


def target_of(explain: Explain, loss: str) -> str:
    (found, *_) = explain(TWO.format(loss=loss)).diagnostics
    return found.message


def test_variables(explain: Explain) -> None:
    assert "`G.0.weight`" in target_of(explain, "D(G(torch.ones(1, 2)).detach()).sum()")


def test_attributes(explain: Explain) -> None:
    assert "`both.G.0.weight`" in target_of(explain, "both.D(both.G(torch.ones(1, 2)).detach()).sum()")


def test_one_word_for_both_tells_nothing(explain: Explain) -> None:
    message = target_of(explain, "through(D, through(G, torch.ones(1, 2)).detach()).sum()")
    assert "`0.weight`" in message


def test_one_word_of_its_own_among_others_tells_it(explain: Explain) -> None:
    loss = "(through(D, through(G, torch.ones(1, 2)).detach()) + G(torch.ones(1, 2)).detach()).sum()"
    assert "`G.0.weight`" in target_of(explain, loss)


def test_layers_on_the_path_have_their_models_too(explain: Explain) -> None:
    report = explain(TWO.format(loss="D(G(torch.ones(1, 2)).detach()).sum()"))
    names = {node.module for node in report.flow.nodes}
    assert {"G.0", "D.0"} <= names


def test_a_model_alone_keeps_its_names(explain: Explain) -> None:
    report = explain(
        """
        G = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
        G(torch.ones(1, 2)).detach().requires_grad_().sum().backward()
        G[0].weight.grad.sum()
        """
    )
    assert "`0.weight`" in report.diagnostics[0].message
