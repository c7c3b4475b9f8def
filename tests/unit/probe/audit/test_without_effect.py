"""What is added and taken out again has a gradient of zero by the form of the loss: told, and no fault."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import gradflow


class Spans(nn.Module):
    """Which of the positions is the answer: a common bias of all positions cancels in the softmax over them."""

    def __init__(self, over: str) -> None:
        super().__init__()
        self.score, self.over = nn.Linear(4, 1), over

    def forward(self, x: Tensor, answer: Tensor) -> Tensor:
        scores = self.score(x).squeeze(-1)
        if self.over == "positions":
            return functional.cross_entropy(scores, answer)
        return functional.softplus(-scores).mean()


@pytest.mark.parametrize("over", ["positions", "nothing"])
def test_a_bias_that_all_positions_share(over: str) -> None:
    model = Spans(over)
    nn.init.ones_(model.score.weight)
    # two positions with the same score: what cancels is exact
    report = gradflow.audit(model, inputs=(torch.eye(4).reshape(2, 2, 4), torch.tensor([0, 1])))
    told = [(one.code, one.severity, one.hides) for one in report.diagnostics]
    assert told == ([("GF404", "info", ("score.bias",))] if over == "positions" else [])


class Opening(nn.Module):
    """A branch that starts at zero; ``norm`` takes out what the bias before it adds, ``dead`` takes all."""

    def __init__(self, middle: str) -> None:
        super().__init__()
        self.body, self.live, self.gate, self.head = (
            nn.Linear(4, 6),
            nn.Linear(4, 6),
            nn.Linear(12, 4),
            nn.Linear(4, 2),
        )
        self.middle = nn.BatchNorm1d(6) if middle == "norm" else nn.ReLU()
        nn.init.zeros_(self.gate.weight)
        if middle == "dead":
            nn.init.constant_(self.body.bias, -100.0)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.middle(self.body(x)), torch.tanh(self.live(x))], 1)
        return self.head(x + self.gate(both)).square().mean()


def test_a_bias_before_a_norm_and_a_branch_that_starts_at_zero() -> None:
    torch.manual_seed(0)
    report = gradflow.audit(Opening("norm"), inputs=torch.randn(16, 4))
    assert {one.severity for one in report.diagnostics} == {"info"}
    (found,) = (one for one in report.diagnostics if "body.bias" in one.hides)
    assert (found.code, found.hides) == ("GF404", ("body.bias",))
    assert not any("start the factor" in one.text for one in found.helps)


def test_what_is_dead_behind_it_is_no_matter_of_the_factor() -> None:
    torch.manual_seed(0)
    report = gradflow.audit(Opening("dead"), inputs=torch.randn(16, 4))
    (found,) = (one for one in report.diagnostics if "body.weight" in one.hides)
    assert found.severity == "warning"
    assert "body.bias" in found.hides
    assert not any("start the factor" in one.text for one in found.helps)
    assert any("once `gate.weight` has moved off zero, they get none either" in note for note in found.notes)


class Difference(nn.Module):
    """The same network on both sides: nothing is left of it, and it is meant to learn."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        made = self.body(x)
        return (made - made).mean() + 1


def test_what_also_multiplies_is_not_excused() -> None:
    torch.manual_seed(0)
    report = gradflow.audit(Difference(), inputs=torch.randn(5, 4))
    assert "info" not in {one.severity for one in report.diagnostics if "body.weight" in one.hides}
    assert report.diagnostics


class Last(nn.Module):
    """The state after the last step; ``start`` is what the recurrence starts from."""

    def __init__(self, kind: type[nn.RNNBase], start: str) -> None:
        super().__init__()
        self.steps, self.head, self.start = kind(3, 4, batch_first=True), nn.Linear(4, 2), start

    def forward(self, x: Tensor) -> Tensor:
        state = None if self.start == "nothing" else torch.relu(x.mean().expand(1, len(x), 4) - 100.0)
        return self.head(self.steps(x, state)[0][:, -1])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_one_step_of_a_recurrence_from_a_state_of_zeros(kind: type[nn.RNNBase]) -> None:
    torch.manual_seed(0)
    report = gradflow.audit(Last(kind, "nothing"), inputs=torch.randn(2, 1, 3))
    (found,) = report.diagnostics
    assert (found.code, found.severity, found.hides) == ("GF405", "info", ("steps.weight_hh_l0",))
    assert "dies" not in found.message
    assert report.exit_code == 0


def test_a_state_that_is_computed_and_comes_out_as_zero() -> None:
    torch.manual_seed(0)
    (found,) = gradflow.audit(Last(nn.GRU, "computed"), inputs=torch.randn(2, 1, 3)).diagnostics
    assert (found.code, found.severity, found.hides) == ("GF405", "warning", ("steps.weight_hh_l0",))


class Looked(nn.Module):
    """What is looked up is multiplied by zero; that it is looked up at zeros has no part in it."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x + self.table(torch.zeros(len(x), dtype=torch.long)) * 0.0)


def test_zeros_beside_it_that_are_not_why() -> None:
    (found,) = gradflow.audit(Looked(), inputs=torch.randn(2, 4)).diagnostics
    assert (found.severity, found.hides) == ("warning", ("table.weight",))
    assert "only meets zeros" not in found.message
