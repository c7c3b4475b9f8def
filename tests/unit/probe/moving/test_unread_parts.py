"""Of what a recurrent layer gives only a part may be read: the weights of the rest never learn."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import gradflow  # noqa: E402


class Wrong(nn.Module):
    """The state of the first of two layers, or only the forward half."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.rnn = nn.GRU(3, 4, num_layers=1 if how == "half" else 2, batch_first=True, bidirectional=how == "half")
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, state = self.rnn(x)
        if self.how == "half":
            return self.head(out[:, -1, :4])  # reads: half
        if self.how == "flat":
            return self.head(state[0] + (state[1] - 2.0).relu())
        return self.head(state[0] if self.how == "first" else state[-1])  # reads: first


INPUT = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("how", "parts", "read"),
    [("first", "rnn.weight_hh_l1", "index 0 of 2 along dimension 0"),
     ("half", "rnn.weight_ih_l0_reverse", "indices 0 to 3 of 8 along dimension 2"),
     # the backward half starts from zeros at the last step, so there its recurrent weights have no part in it
     ("half", "rnn.weight_hh_l0_reverse", "indices 0 to 3 of 8 along dimension 2")],
)  # fmt: skip
def test_which_part_is_read_is_told_where_it_is_chosen(how: str, parts: str, read: str) -> None:
    report = gradflow.audit(Wrong(how), inputs=INPUT)
    (one,) = report.diagnostics
    assert (one.code, one.severity) == ("GF303", "error")
    assert parts in one.hides
    assert any(f"only at {read}" in note for note in one.notes)
    assert not any("another input" in each.text for each in one.helps)
    assert one.location is not None
    assert Path(__file__).read_text().splitlines()[one.location.line - 1].endswith(f"# reads: {how}")
    asked = gradflow.check(Wrong(how), parameter=parts, inputs=INPUT)
    assert any(read in note for note in asked.diagnostics[0].notes)
    assert (asked.verdict, [each.code for each in asked.diagnostics]) == ("zero", ["GF303"])


def test_the_last_layer_is_healthy() -> None:
    assert not gradflow.audit(Wrong("last"), inputs=INPUT).diagnostics


def test_a_part_behind_which_it_is_flat_is_not_said_to_be_unread() -> None:
    report = gradflow.audit(Wrong("flat"), inputs=INPUT)
    assert report.diagnostics
    assert "GF303" not in {one.code for one in report.diagnostics}


class Routed(nn.Module):
    """Two rows are worked out by two layers; the score of one row does not read what the other layer gives."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(2, 2)
        for number, layer in enumerate((self.first, self.second)):
            row = torch.tensor([number])
            out.index_add_(0, row, layer(x[row]))
        return out


def test_rows_that_are_added_elsewhere_are_told() -> None:
    by_hand = gradflow.check(Routed(), "second", inputs=torch.randn(2, 3), score=lambda out: out[0].sum())
    # of the largest entry of the first row another one may be the largest when values are moved
    by_default = gradflow.check(Routed(), "second", inputs=torch.randn(2, 3))
    for report in (by_hand, by_default):
        (one,) = report.diagnostics
        assert (one.code, report.verdict) == ("GF303", "zero")
        assert any("only at index 0 of 2 along dimension 0" in note for note in one.notes)


class Placed(nn.Module):
    """Scattered over places of one sample, of which the score chooses the largest entry."""

    def __init__(self) -> None:
        super().__init__()
        self.part, self.head = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = torch.tensor([0, 2]).reshape(1, 2, 1).expand(1, 2, 3)
        return self.head(x.scatter_add(1, places, self.part(x[:, :2]) * 0.1))


def test_the_largest_entry_stays_the_one_that_it_was() -> None:
    x = torch.zeros(1, 4, 3)
    x[0, 1] = 50.0
    model = Placed()
    with torch.no_grad():
        model.head.weight.fill_(1.0)
    report = gradflow.check(model, "part", inputs=x)
    (one,) = report.diagnostics
    assert one.code == "GF303"
    assert any("only at index 1 of 4 along dimension 1" in note for note in one.notes)
