"""A draw without gradient beside a whole way: missing in a VAE, estimated in REINFORCE, and nothing with `rsample`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Beta, Distribution, Gamma, Laplace, Normal, kl_divergence
from torch.nn.functional import softplus

import gradflow

Draw = Callable[[Distribution], Tensor]
Make = Callable[[Tensor, Tensor], Distribution]


def sample(q: Distribution) -> Tensor:
    return q.sample()


def rsample(q: Distribution) -> Tensor:
    return q.rsample()


def by_normal(q: Distribution) -> Tensor:
    return torch.normal(q.mean, q.stddev)


def under_no_grad(q: Distribution) -> Tensor:
    with torch.no_grad():
        return q.mean + q.stddev * torch.randn_like(q.mean)


def gamma(mean: Tensor, std: Tensor) -> Distribution:
    return Gamma(softplus(mean) + 0.5, std)


def beta(mean: Tensor, std: Tensor) -> Distribution:
    return Beta(softplus(mean) + 1, std + 1)


class Encoder(nn.Module):
    def __init__(self, make: Make, draw: Draw, *, is_estimated: bool = False) -> None:
        super().__init__()
        self.mean, self.std, self.decoder = nn.Linear(8, 3), nn.Linear(8, 3), nn.Linear(3, 8)
        self.make, self.draw, self.is_estimated = make, draw, is_estimated

    def posterior(self, x: Tensor) -> Distribution:
        return self.make(self.mean(x), self.std(x).exp())


class Vae(Encoder):
    def forward(self, x: Tensor) -> Tensor:
        q = self.posterior(x)
        z = self.draw(q)
        loss = (self.decoder(z) - x).square().sum(1)
        if self.is_estimated:
            return (loss + q.log_prob(z).sum(1) + z.square().sum(1) / 2).mean()
        prior = type(q)(torch.ones(3), torch.ones(3))
        return loss.mean() + kl_divergence(q, prior).mean()


class Reinforce(Encoder):
    def forward(self, x: Tensor) -> Tensor:
        q = self.posterior(x)
        z = self.draw(q)
        loss = (self.decoder(z) - x).square().sum(1)
        return loss.mean() + (q.log_prob(z).sum(1) * (loss.detach() - loss.detach().mean())).mean()


class TwoPasses(Encoder):
    """The draw and its old likelihood without recording, and the policy once more with it."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            q = self.posterior(x)
            z = self.draw(q)
            old, reward = q.log_prob(z).sum(1), -z.square().sum(1)
        ratio = (self.posterior(x).log_prob(z).sum(1) - old).exp()
        return self.decoder(z).square().mean() - torch.min(ratio * reward, ratio.clamp(0.8, 1.2) * reward).mean()


X = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def change_of_the_gradient(model: Vae, whole: Vae) -> float:
    """How far it is from that of the same model with `rsample`, and the same random numbers."""
    whole.load_state_dict(model.state_dict())
    found = []
    for each in (model, whole):
        torch.manual_seed(3)
        found.append(torch.autograd.grad(each(X), each.mean.weight)[0])
    wrong, right = found
    return float((wrong - right).norm() / max(wrong.norm(), right.norm()))


@pytest.mark.parametrize("draw", [sample, by_normal, under_no_grad])
@pytest.mark.parametrize("is_estimated", [False, True], ids=["closed form", "log_prob of the draw"])
def test_what_goes_through_the_draw_of_a_vae_is_missing(draw: Draw, *, is_estimated: bool) -> None:
    model, whole = Vae(Normal, draw, is_estimated=is_estimated), Vae(Normal, rsample, is_estimated=is_estimated)
    expected = change_of_the_gradient(model, whole)
    assert expected > 0.1
    torch.manual_seed(3)
    report = gradflow.check(model, (), parameter="mean.weight", inputs=X)
    assert report.verdict == "wrong"
    (found,) = report.diagnostics
    assert (found.code, found.severity) == ("GF401", "error")
    assert found.location is not None
    assert found.location.line in _lines(draw)
    assert "rsample" in found.helps[0].text
    assert "log_prob" in found.helps[1].text
    assert f"changes by {100 * expected:.0f}%" in found.notes[0]
    assert gradflow.check(whole, (), parameter="mean.weight", inputs=X).diagnostics == ()


def _lines(function: Callable[..., object]) -> set[int]:
    return {line for _, _, line in function.__code__.co_lines() if line is not None}


@pytest.mark.parametrize("make", [Laplace, gamma], ids=["Laplace", "Gamma"])
def test_it_is_told_once_whatever_is_drawn_from(make: Make) -> None:
    report = gradflow.audit(Vae(make, sample), inputs=X)
    assert [(one.code, one.severity) for one in report.diagnostics] == [("GF401", "error")]
    assert gradflow.audit(Vae(make, rsample), inputs=X).diagnostics == ()


@pytest.mark.parametrize("kind", [Reinforce, TwoPasses])
@pytest.mark.parametrize("make", [Normal, Laplace, gamma, beta], ids=["Normal", "Laplace", "Gamma", "Beta"])
def test_a_policy_gradient_is_no_fault(kind: type[Encoder], make: Make) -> None:
    model = kind(make, sample)
    report = gradflow.audit(model, inputs=X)
    assert {one.severity for one in report.diagnostics} == {"info"}
    check = gradflow.check(model, "mean", inputs=X, verify=True)
    assert check.verdict == "connected"
    assert {one.severity for one in check.diagnostics} == {"info"}
    assert any("what is drawn here" in one.message for one in check.diagnostics)
    assert any("where a draw's is estimated" in one.message for one in check.diagnostics if one.code == "GF410")


def test_where_the_draw_is_the_only_way_the_repair_is_a_draw_with_a_gradient() -> None:
    class Only(Encoder):
        def forward(self, x: Tensor) -> Tensor:
            return (self.decoder(self.draw(self.posterior(x))) - x).square().mean()

    (found,) = gradflow.check(Only(Normal, sample), "mean", inputs=X).diagnostics
    assert found.code == "GF102"
    assert "rsample" in found.helps[0].text
    assert found.helps[0].repair is not None
    assert found.helps[0].repair.verified


def test_what_gets_zeros_alone_through_a_recorded_draw_is_told_as_that() -> None:
    class Noisy(Encoder):
        def __init__(self) -> None:
            super().__init__(Normal, by_normal)
            self.body, self.skip = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            h = self.body(x)
            return (self.decoder(self.draw(self.posterior(h))) + self.skip(h)).square().mean()

    report = gradflow.audit(Noisy(), inputs=X)
    told = {one.code: set(one.hides) for one in report.diagnostics if one.severity == "error"}
    assert told == {
        "GF401": {"body.weight", "body.bias"},
        "GF402": {"mean.weight", "mean.bias", "std.weight", "std.bias"},
    }
    assert gradflow.check(Noisy(), "mean", inputs=X).verdict == "zero"
    assert gradflow.check(Noisy(), "body", inputs=X).verdict == "wrong"


def test_a_draw_of_whole_numbers_has_no_part_to_lose() -> None:
    class Negatives(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.keys = nn.Linear(8, 4), nn.Embedding(9, 4)

        def forward(self, x: Tensor) -> Tensor:
            scores = self.query(x) @ self.keys.weight.T
            chosen = torch.multinomial(scores.softmax(1), 2)
            return scores.gather(1, chosen).logsumexp(1).mean() - scores[:, 0].mean()

    assert gradflow.audit(Negatives(), inputs=X).diagnostics == ()
