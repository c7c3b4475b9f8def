"""``None`` where the program allows it, stops that come in pairs, one input looked at twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[[str], Report]


def said(report: Report) -> list[tuple[str, str]]:
    return [(diagnostic.name, diagnostic.severity) for diagnostic in report.diagnostics]


UNUSED = """
    used, spare = torch.rand(3, requires_grad=True), torch.rand(2, requires_grad=True)
    loss = {loss}
    grads = torch.autograd.grad(loss, {asked}, allow_unused=True)
    print([g is None for g in grads])
"""


@pytest.mark.parametrize("asked", ["[used, spare]", "[spare]"])
def test_a_none_that_is_allowed_is_no_fault(explain: Explain, asked: str) -> None:
    report = explain(UNUSED.format(loss="used.square().sum()", asked=asked))
    assert (report.verdict, said(report)) == ("connected", [])


def test_a_none_behind_a_cut_is_not_what_was_allowed(explain: Explain) -> None:
    report = explain(UNUSED.format(loss="used.square().sum() + spare.detach().sum()", asked="[used, spare]"))
    assert report.verdict == "broken"
    assert ("detach", "error") in said(report)


QUANTISER = """
    codes, z = nn.Embedding(8, 3), torch.rand(5, 3)
    q = codes(torch.cdist(z, codes.weight).argmin(1))
    loss = {first} + 0.25 * (z - q.detach()).square().mean()
    loss.backward()
"""


def test_a_pair_of_stops_on_plain_data_is_left_alone(explain: Explain) -> None:
    report = explain(QUANTISER.format(first="(q - z.detach()).square().mean()"))
    assert (report.verdict, said(report)) == ("connected", [])


def test_a_lone_stop_leaves_a_term_without_history(explain: Explain) -> None:
    report = explain(QUANTISER.format(first="q.square().mean()"))
    assert (report.verdict, said(report)) == ("wrong", [("partial-detach", "error")])


TWICE = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
        def forward(self, x):
            return self.head(self.features(x).relu().mean((2, 3)))

    model, x, other, kept = Net(){mode}, torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), []
    model.features.register_forward_hook(lambda module, inputs, output: kept.append(output))
    (gradient,) = torch.autograd.grad(model(x)[0, 0], kept[0])
    model({again})
    print((gradient * kept[1].detach()).sum(1).shape)
"""


def test_a_second_forward_of_the_same_input_gives_the_same_activation(explain: Explain) -> None:
    report = explain(TWICE.format(mode=".eval()", again="x"))
    assert (report.verdict, said(report)) == ("connected", [])


@pytest.mark.parametrize(("mode", "again"), [(".eval()", "other"), (".train()", "x")])
def test_an_activation_of_another_input_or_of_train_mode_is_told(explain: Explain, mode: str, again: str) -> None:
    assert ("stale-activation", "error") in said(explain(TWICE.format(mode=mode, again=again)))


REFUSES = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.block = nn.Linear(4, 4), nn.Linear(4, 4)
        def forward(self, x):
            {body}

    model = Net()
    handle = model.block.register_forward_hook(lambda module, inputs, output: None)
    try:
        model(torch.ones(1, 4))
    except ValueError:
        pass
    handle.remove()
"""


def test_a_hook_in_a_forward_that_refused_its_input_need_not_run(explain: Explain) -> None:
    report = explain(REFUSES.format(body="self.stem(x); raise ValueError('too short')"))
    assert (report.verdict, said(report)) == ("connected", [])


def test_a_hook_on_a_layer_that_the_forward_leaves_out_is_told(explain: Explain) -> None:
    assert ("layer-not-called", "error") in said(explain(REFUSES.format(body="return self.stem(x)")))


LOGGED = """
    h = nn.Linear(3, 3).double()(torch.randn(4, 3).double())
    number = {number}
    loss = (h.square().sum() + {again}).sqrt()
    (gradient,) = torch.autograd.grad(loss, h)
"""


def test_a_number_that_anybody_would_write_is_not_joined(explain: Explain) -> None:
    report = explain(LOGGED.format(number="(h[0, 0] - h[0, 0]).clamp(min=1e-5).item()", again="1e-5"))
    assert (report.verdict, said(report)) == ("connected", [])


def test_a_number_that_came_from_a_tensor_is_joined(explain: Explain) -> None:
    report = explain(LOGGED.format(number="h.exp().mean().item()", again="number"))
    assert said(report) == [("partial-detach", "info")]
