"""Where a choice and a differentiable cut stand side by side, the cut is what keeps the gradient away."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import gradflow  # noqa: E402


class Kept(nn.Module):
    """Keeps the rows with the largest scores, and weighs them by what came of the scores by another way."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.score, self.value = how, nn.Linear(4, 1), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.score(x).squeeze(-1)
        best, rows = scores.topk(3)
        chosen = self.value(x)[rows]
        if self.how == "detached":
            weights = best.detach()  # here: detached
        elif self.how == "through NumPy":
            weights = torch.from_numpy(best.detach().numpy() ** 2)  # here: through NumPy
        elif self.how == "as numbers":
            weights = torch.tensor(best.detach().tolist())  # here: as numbers
        else:
            return chosen.sum(0)
        return (chosen * weights[:, None]).sum(0)


def _inputs() -> torch.Tensor:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("how", ["detached", "through NumPy", "as numbers"])
def test_the_cut_beside_the_choice_is_told(how: str) -> None:
    for report in (
        gradflow.audit(Kept(how), inputs=_inputs()),
        gradflow.check(Kept(how), parameter="score.weight", inputs=_inputs()),
    ):
        errors = [one for one in report.diagnostics if one.severity == "error"]
        assert len(errors) == 1
        assert errors[0].code != "GF106"
        assert errors[0].location is not None
        assert f"# here: {how}" in Path(__file__).read_text().splitlines()[errors[0].location.line - 1]


def test_where_there_is_only_the_choice_it_is_told() -> None:
    report = gradflow.audit(Kept("not at all"), inputs=_inputs())
    assert [one.code for one in report.diagnostics] == ["GF106"]


class Sparse(nn.Module):
    """The values of a sparse matrix leave as a list, their places stay tensors."""

    def __init__(self, *, as_list: bool) -> None:
        super().__init__()
        self.as_list, self.weight = as_list, nn.Parameter(torch.eye(4) * torch.arange(1.0, 5.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = self.weight.nonzero().T
        values = self.weight[places[0], places[1]]
        return torch.sparse_coo_tensor(places, values.tolist() if self.as_list else values, (4, 4)).to_dense() @ x


@pytest.mark.filterwarnings("ignore:Sparse invariant checks", "ignore:Converting a tensor")
def test_the_values_of_a_sparse_matrix_are_followed_and_its_places_are_no_cut() -> None:
    broken = gradflow.audit(Sparse(as_list=True), inputs=_inputs()[:4])
    assert [one.code for one in broken.diagnostics] == ["GF104"]
    assert "tolist" in Path(__file__).read_text().splitlines()[broken.diagnostics[0].location.line - 1]
    assert not gradflow.audit(Sparse(as_list=False), inputs=_inputs()[:4]).diagnostics
