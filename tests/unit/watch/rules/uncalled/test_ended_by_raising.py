"""A forward that ends by an exception: what stands behind it was not left out by a model that ran without it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from gradflow.report import Report  # noqa: E402

Explain = Callable[[str], Report]

EARLY_EXIT = """
class Done(Exception):
    pass

model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 1))
kept = []

def stop(module, args, output=None):
    kept.append(args[0] if output is None else output)
    raise Done

{hook}
try:
    model(torch.rand(2, 4))  # line: call
except Done:
    pass
kept[0].sum().backward()
print(model[0].weight.grad.norm(), model[{asked}].weight.grad)
"""


def said(report: Report) -> str:
    found = report.diagnostics[0]
    return " ".join([found.message, found.label, *found.notes, *(str(one.text) for one in found.helps)])


def line_of(source: str, words: str) -> int:
    return next(n for n, line in enumerate(source.splitlines(), 3) if words in line)


@pytest.mark.parametrize("kind", ["forward_hook", "forward_pre_hook"])
def test_what_stands_behind_a_hook_that_raises(explain: Explain, kind: str) -> None:
    source = EARLY_EXIT.format(hook=f"model[2].register_{kind}(stop)", asked=3)
    report = explain(source)
    [found] = report.diagnostics
    assert found.name == "layer-not-called"
    assert found.location is not None
    assert found.location.line == line_of(source, "# line: call")
    assert "`Done`" in said(report)
    assert "ran without it" not in said(report)
    assert "could not be read" not in said(report)


def test_the_layer_whose_call_a_hook_ended(explain: Explain) -> None:
    source = EARLY_EXIT.format(hook="model[2].register_forward_pre_hook(stop)", asked=2)
    report = explain(source)
    [found] = report.diagnostics
    assert found.name == "output-discarded"
    assert found.location is not None
    assert found.location.line == line_of(source, "# line: call")
    assert "`Done`" in said(report)


def test_a_block_inside_a_model_that_catches_it(explain: Explain) -> None:
    report = explain(
        """
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.block = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
                self.block[0].register_forward_hook(self.stop)
                self.fc = nn.Linear(4, 1)

            def stop(self, module, args, output):
                self.kept = output
                raise StopIteration

            def forward(self, x):
                try:
                    self.block(x)
                except StopIteration:
                    pass
                return self.fc(self.kept)

        model = Model()
        model(torch.rand(2, 4)).sum().backward()
        print(model.block[1].weight.grad)
        """
    )
    assert report.diagnostics[0].name == "layer-not-called"
    assert "`block` ended by `StopIteration`" in said(report)


def test_a_block_that_ran_to_its_end_as_well_did_so_without_the_layer(explain: Explain) -> None:
    report = explain(
        """
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

            def forward(self, x, fails=False):
                if fails:
                    raise ValueError
                return self.a(x)

        model = Model()
        try:
            model(torch.rand(2, 4), fails=True)
        except ValueError:
            pass
        model(torch.rand(2, 4)).sum().backward()
        print(model.b.weight.grad)
        """
    )
    assert report.diagnostics[0].name == "layer-not-called"
    assert "ran without it" in said(report)
    assert "ValueError" not in said(report)


def test_a_model_of_which_only_parts_are_called_did_not_run(explain: Explain) -> None:
    report = explain(
        """
        model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
        model.append(nn.Linear(4, 1))
        x = torch.rand(2, 4)
        for layer in list(model)[:3]:
            x = layer(x)
        x.sum().backward()
        print(model[3].weight.grad)
        """
    )
    assert report.diagnostics == () or "ran without it" not in said(report)
    assert report.diagnostics == () or "could not be read" not in said(report)
