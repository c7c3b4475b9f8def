"""The same fault in a short program and in a long one gets the same answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("torch")

from gradflow.report import Report

Explain = Callable[[str], Report]


@pytest.mark.parametrize("passes", [0, 1_010])
def test_a_stale_activation_after_many_passes(explain: Explain, passes: int) -> None:
    report = explain(f"""
    layer, kept = nn.Linear(2, 2), {{}}
    layer.register_forward_hook(lambda module, given, output: kept.__setitem__("out", output))
    with torch.no_grad():
        for _ in range({passes}):
            layer(torch.ones(1, 2))
    first = layer(torch.ones(1, 2)).sum()
    layer(torch.ones(1, 2))
    torch.autograd.grad(first, kept["out"], allow_unused=True)
    """)
    assert [one.name for one in report.diagnostics] == ["stale-activation"]


@pytest.mark.parametrize("position", [0, 11])
def test_a_stale_activation_among_many_outputs(explain: Explain, position: int) -> None:
    report = explain(f"""
    class Many(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(12))
        def forward(self, x):
            return tuple(layer(x) for layer in self.layers)
    model, kept = Many(), {{}}
    model.register_forward_hook(lambda module, given, output: kept.__setitem__("out", output[{position}]))
    first = sum(out.sum() for out in model(torch.ones(1, 2)))
    model(torch.ones(1, 2))
    torch.autograd.grad(first, kept["out"], allow_unused=True)
    """)
    assert [one.name for one in report.diagnostics] == ["stale-activation"]


@pytest.mark.parametrize("before", [0, 40])
def test_a_wrong_formula_after_many_right_ones(explain: Explain, before: int) -> None:
    report = explain(f"""
    def made(factor):
        class Double(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2
            @staticmethod
            def backward(ctx, gradient):
                return gradient * factor
        return Double
    weight = nn.Parameter(torch.ones(3))
    state = weight
    for _ in range({before}):
        state = made(2).apply(state)
    made(3).apply(state).sum().backward()
    """)
    assert [one.name for one in report.diagnostics] == ["custom-function"]


@pytest.mark.parametrize("before", [0, 150])
def test_a_part_without_a_gradient_after_many_others(explain: Explain, before: int) -> None:
    report = explain(f"""
    layer = nn.Linear(2, 4)
    for turn in range({before}):
        hidden = layer(torch.ones(3, 2))
        (gradient,) = torch.autograd.grad(hidden[0].sum(), hidden)
        print(gradient[1])
    hidden = layer(torch.ones(3, 2))
    (gradient,) = torch.autograd.grad(hidden[0].sum(), hidden)
    print(gradient[2])
    """)
    assert len([one for one in report.diagnostics if one.name == "position-not-read"]) == 1 + (before > 0)


@pytest.mark.parametrize("turns", [3, 1_200])
def test_which_call_led_to_a_place_is_known_to_the_end(turns: int) -> None:
    import torch

    from gradflow.record.program.watching import Watch

    def helper(x: torch.Tensor) -> torch.Tensor:
        return x + 1

    watch, x = Watch(), torch.ones(1)
    with watch.watching():
        for _ in range(turns):
            x = helper(x)
            x = helper(x)
        x = helper(x) * 2
    recording = watch.seen().recording
    lines = [[span.line for span in recording.way_to(row)][1] for row in (0, 1, 2 * turns - 1, 2 * turns)]
    assert [line - lines[0] for line in lines] == [0, 1, 1, 2]


@pytest.mark.parametrize("between", [0, 300])
@pytest.mark.parametrize(
    "written", ["value = (weight * 2).item() * busy(3)", "half = (weight * 2).item()\n    value = busy(3) * half"]
)
def test_a_number_that_is_used_long_after_it_left(explain: Explain, between: int, written: str) -> None:
    report = explain(f"""
    def busy(x):
        other = torch.zeros(1)
        for _ in range({between}):
            other = other + 1
        return torch.ones(1) * x
    weight, beside = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    {written}
    (value * beside).sum().backward()
    print(weight.grad)
    """)
    assert [one.name for one in report.diagnostics] == ["numpy-roundtrip"]


@pytest.mark.parametrize("turns", [1, 300])
def test_numbers_that_left_before_many_others(explain: Explain, turns: int) -> None:
    report = explain(f"""
    weight, beside = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(1))
    listed = (weight * 2).tolist()
    for _ in range({turns}):
        print((weight * 3).sum().item())
    back = torch.tensor([each * 2 for each in listed])
    (back * beside).sum().backward()
    print(weight.grad)
    """)
    assert [one.name for one in report.diagnostics] == ["numpy-roundtrip"]


@pytest.mark.parametrize("length", [5, 700])
def test_numbers_that_went_bad_long_before_the_score(explain: Explain, length: int) -> None:
    report = explain(f"""
    weight, other = nn.Parameter(-torch.ones(1)), nn.Parameter(torch.ones(1))
    state = weight.log()
    for _ in range({length}):
        state = state * other
    state.sum().backward()
    print(other.grad)
    """)
    (found,) = report.diagnostics
    assert report.verdict == "nan"
    assert "`log` gives NaN or infinity in the forward" in found.message


@pytest.mark.parametrize("others", [1, 6])
def test_a_gradient_that_is_read_after_many_other_backwards(explain: Explain, others: int) -> None:
    between = "".join("\n    (other * 2).sum().backward()" for _ in range(others))
    report = explain(f"""
    weight, other = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    (weight.exp().detach() * other).sum().backward(){between}
    print(weight.grad)
    """)
    assert [one.name for one in report.diagnostics] == ["detach"]


@pytest.mark.parametrize("unused", [1, 25])
def test_hooks_for_another_reason_after_many_that_never_ran(explain: Explain, unused: int) -> None:
    report = explain(f"""
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.spare = nn.ModuleList(nn.Linear(2, 2) for _ in range({unused}))
            self.layer = nn.Linear(2, 2)
        def forward(self, x):
            return nn.functional.linear(x, self.layer.weight)
    model = Model()
    for module in [*model.spare, model.layer]:
        module.register_forward_hook(print)
    model(torch.ones(1, 2)).sum().backward()
    """)
    assert [one.name for one in report.diagnostics] == ["layer-not-called", "functional-bypass"]


@pytest.mark.parametrize("turns", [1, 60])
def test_a_frozen_weight_that_is_looked_at_in_every_turn(explain: Explain, turns: int) -> None:
    report = explain(f"""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    for turn in range({turns}):
        model(torch.ones(1, 2)).sum().backward()
        print(model[0].weight.grad)
    """)
    assert [(one.name, one.severity) for one in report.diagnostics] == [("not-trainable", "warning")]
