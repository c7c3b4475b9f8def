"""However much is harmless, what matters is found, or said to be not determined."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)


# each call on a line of its own: the same line many times is one place
HARMLESS = "".join(f"\n    total = total + value.detach().{name}() * 0" for name in ("sum", "mean", "std", "var") * 8)
LOGGED = "".join(f"\n    log.append(value.detach().{name}().item())" for name in ("sum", "mean", "max", "min") * 8)
SOURCE = f"def harmless(value, total):{HARMLESS}\n    return total\n\ndef logged(value, log):{LOGGED}\n"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("many") / "many_places.py"
    path.write_text(SOURCE)
    functions: dict = {}
    exec(compile(SOURCE, str(path), "exec"), functions)
    return functions


@pytest.mark.parametrize("is_first", [True, False])
def test_many_cuts_of_no_weight_do_not_hide_one_that_has(many, is_first):
    class Net(Layers):
        def forward(self, x):
            x = self.body(x)
            first = self.head(x.detach()) * 5 if is_first else 0
            total = many["harmless"](x, torch.zeros(()))
            last = 0 if is_first else self.head(x.detach()) * 5
            return self.head(x) + first + total + last

    report = gradflow.check(Net(), "body", inputs=torch.randn(3, 4))
    assert [one.name for one in report.diagnostics] == ["partial-detach"]
    assert report.environment.forward_count < 32, "not one for each of them"


def test_many_cuts_of_no_weight_are_healthy_and_cheap(many):
    class Net(Layers):
        def forward(self, x):
            x = self.body(x)
            return self.head(x) + many["harmless"](x, torch.zeros(()))

    report = gradflow.check(Net(), "body", inputs=torch.randn(3, 4))
    assert (report.verdict, report.diagnostics, report.undetermined) == ("connected", (), ())
    assert report.environment.forward_count == 2


def test_many_numbers_that_are_logged_do_not_hide_one_that_is_used(many):
    class Net(Layers):
        def forward(self, x):
            x = self.body(x)
            many["logged"](x, [])
            return self.head(x) * x.detach().abs().mean().item()

    report = gradflow.check(Net(), "body", inputs=torch.randn(3, 4))
    assert report.verdict == "wrong" or report.undetermined


def test_numbers_that_are_only_logged_cost_one_forward(many):
    class Net(Layers):
        def forward(self, x):
            x = self.body(x)
            many["logged"](x, [])
            return self.head(x)

    report = gradflow.check(Net(), "body", inputs=torch.randn(3, 4))
    assert (report.verdict, report.undetermined, report.environment.forward_count) == ("connected", (), 2)


def test_more_cuts_with_weight_than_are_tried_are_not_determined():
    lines = "".join(f"\n    total = total + value.detach() * {number}.0" for number in range(2, 62))
    functions: dict = {}
    exec(compile(f"def heavy(value, total):{lines}\n    return total\n", "heavy_places.py", "exec"), functions)

    class Net(Layers):
        def forward(self, x):
            x = self.body(x)
            return self.head(x + functions["heavy"](x, torch.zeros(())))

    report = gradflow.check(Net(), "body", inputs=torch.randn(3, 4))
    assert report.verdict == "wrong"
    assert any("were tried" in text for text in report.undetermined)
