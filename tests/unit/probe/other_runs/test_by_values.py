"""A part that the values of one input left out is no part that never learns; one that a setting leaves out is."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import gradflow  # noqa: E402
from gradflow.load.loading import workload_from_objects  # noqa: E402
from gradflow.probe.other_runs.other_values import with_other_values  # noqa: E402


class Mixture(nn.Module):
    """Each token goes to one expert; ``ways`` says how it is decided whether one has any."""

    def __init__(self, way: str, experts: int = 4) -> None:
        super().__init__()
        self.way, self.is_deep = way, False
        self.router, self.head = nn.Linear(4, experts), nn.Linear(4, 2)
        self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(experts))
        self.extra = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, choice = self.router(x).softmax(-1).max(-1)
        y = x * 0
        for number, expert in enumerate(self.experts):
            sent = choice == number
            if self.way == "a size":
                rows = x[sent]
                if not len(rows):
                    continue
            elif self.way == "a number":
                if sent.sum().item() == 0:
                    continue
            elif not sent.any():
                continue
            y = y + sent[:, None] * weight[:, None] * expert(x)
        if self.is_deep:
            y = self.extra(y)
        return self.head(y)


def _mixture(way: str) -> Mixture:
    torch.manual_seed(0)
    model = Mixture(way)
    with torch.no_grad():
        model.router.bias.zero_()
        model.router.weight.copy_(torch.tensor([[1.0], [-1.0], [0.0], [0.0]]) * torch.tensor([1.0, 0.0, 0.0, 0.0]))
        model.router.weight[2, 1], model.router.weight[3, 1] = 1.0, -1.0
    return model


ONE_WAY = torch.tensor([[3.0, 0.1, 0.2, 0.3], [2.0, -0.5, 0.1, 0.2]])
"""All rows go to the first expert."""


@pytest.mark.parametrize("way", ["a size", "a number", "a condition"])
def test_experts_that_get_no_token_are_told_and_are_no_fault(way: str) -> None:
    report = gradflow.audit(_mixture(way), inputs=ONE_WAY)
    by_module = {one.module: one for one in report.diagnostics}
    experts = [one for name, one in by_module.items() if name.startswith("experts")]
    assert [one.severity for one in experts] == ["info"]
    assert sorted({name.rpartition(".")[0] for name in experts[0].hides}) == ["experts.1", "experts.2", "experts.3"]
    assert "tried: for other values of the input all of them get one" in experts[0].notes
    assert not any("requires_grad_" in one.text for one in experts[0].helps)
    # the near miss: a setting leaves this one out, whatever the values are
    assert by_module["extra"].severity == "error"


def test_a_layer_that_is_asked_for_is_not_determined() -> None:
    report = gradflow.check(_mixture("a size"), inputs=ONE_WAY, layer="experts.1")
    assert report.verdict == "not determined"
    (one,) = [one for one in report.diagnostics if one.code == "GF301"]
    assert (one.severity, one.message.partition(",")[0]) == ("info", "`experts.1` did not run for this input")
    assert gradflow.check(_mixture("a size"), inputs=ONE_WAY, layer="extra").verdict == "unused"


class Rare(nn.Module):
    """The last of three layers runs for a value that no input of the kind has; or a setting keeps it out."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.head = nn.ModuleList(nn.Linear(4, 4) for _ in range(3)), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        place = 0 if x[0, 0] < 0 else 1 if x[0, 0] < 1e9 else 2
        return self.head(self.layers[place](x))


def test_beside_what_values_choose_nothing_is_left_out_for_good() -> None:
    report = gradflow.audit(Rare(), inputs=torch.tensor([[1.0, -2.0, 3.0, 4.0]]))
    assert {one.severity for one in report.diagnostics} <= {"info", "warning"}
    assert {name.rpartition(".")[0] for one in report.diagnostics for name in one.hides} == {"layers.0", "layers.2"}


class Indexed(nn.Module):
    """Nothing of which Python learns a value: an index that is no mask gives a size that is known before."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.extra, self.is_deep = nn.Linear(4, 2), nn.Linear(4, 4), False
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        x = x[torch.tensor([1, 0])]
        if self.is_deep:
            x = self.extra(x)
        return self.head(x)


def test_where_no_value_can_decide_no_run_is_made_for_others() -> None:
    model = Indexed()
    report = gradflow.audit(model, inputs=torch.randn(2, 4))
    assert [one.severity for one in report.diagnostics] == ["error"]
    assert report.environment.forward_count < 6


def test_other_values_are_of_the_same_kind_and_the_input_stays_as_it_is() -> None:
    floats, whole = torch.randn(200, 4, requires_grad=True), torch.randint(3, 9, (50,))
    mask, shared = torch.rand(40) > 0.5, torch.full((3,), 2.0)
    kept = [one.clone() for one in (floats, whole, mask, shared)]
    given = workload_from_objects(nn.Identity(), (floats, {"a": whole, "b": [mask, shared]}, shared))
    other = with_other_values(given, 4)
    noise, held, again = other.inputs
    assert noise.shape == floats.shape
    assert noise.dtype == floats.dtype
    assert noise.requires_grad
    assert not torch.equal(noise, floats)
    assert abs(float(noise.detach().std() - floats.detach().std())) < 0.2
    assert int(held["a"].min()) >= 3
    assert int(held["a"].max()) <= 8
    assert held["b"][0].sum() == mask.sum()
    assert held["b"][0].dtype == torch.bool
    assert held["b"][1] is again
    assert not torch.equal(again, shared)
    reordered = with_other_values(given, 3, reordered=True).inputs[0]
    assert torch.equal(reordered.flatten().sort().values, floats.flatten().sort().values)
    for before, now in zip(kept, (floats, whole, mask, shared), strict=True):
        assert torch.equal(before, now)
