"""A layer that torch calls by a number alone is told with the program's own word for what it lies in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from gradflow.report import Report  # noqa: E402

Explain = Callable[[str], Report]
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute")

KEPT = """
{name} = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
kept = []
{name}[0].register_forward_hook(lambda module, args, output: kept.append(output))
{name}(torch.rand(2, 4)).sum().backward()
for one in kept:
    print(one.grad)
"""


@pytest.mark.parametrize("name", ["model", "net"])
def test_a_number_is_told_with_what_it_lies_in(explain: Explain, name: str) -> None:
    report = explain(KEPT.format(name=name))
    assert report.target.name == f"{name}[0]"
    assert "`.grad` is read of `one`" in report.diagnostics[0].message


def test_a_layer_alone_is_called_as_the_program_calls_it(explain: Explain) -> None:
    report = explain("layer = nn.Linear(4, 1)\ny = layer(torch.rand(2, 4))\ny.sum().backward()\nprint(y.grad)\n")
    assert (report.target.name, report.diagnostics[0].message[:24]) == ("layer", "`.grad` is read of `y`, ")


def test_a_word_that_means_two_models_names_none(explain: Explain) -> None:
    report = explain("""
    kept = []
    for _ in range(2):
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
        model[0].register_forward_hook(lambda module, args, output: kept.append(output))
        model(torch.rand(2, 4)).sum().backward()
    print(kept[0].grad, kept[1].grad)
    """)
    assert report.target.name == "0"


def test_a_layer_with_a_name_keeps_it(explain: Explain) -> None:
    report = explain("""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4)])
        def forward(self, x):
            self.kept = self.layers[0](x)
            return self.kept.relu()
    net = Net()
    net(torch.rand(2, 4)).sum().backward()
    print(net.kept.grad)
    """)
    assert report.target.name == "layers.0"


@pytest.mark.parametrize(
    "call",
    [
        "torch.utils.checkpoint.checkpoint(model, torch.rand(2, 4), use_reentrant=False)",
        "checkpoint(model, torch.rand(2, 4), use_reentrant=False)",
        "functional.call(model, dict(model.named_parameters()), (torch.rand(2, 4),))",
    ],
)
def test_a_function_that_calls_the_model_is_no_word_for_it(explain: Explain, call: str) -> None:
    report = explain(f"""
    import types
    from torch.utils.checkpoint import checkpoint
    functional = types.SimpleNamespace(call=torch.func.functional_call)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    kept = []
    model[0].register_forward_hook(lambda module, args, output: kept.append(output))
    {call}.sum().backward()
    print(kept[0].grad)
    """)
    assert report.target.name == "0"
