"""A likelihood that is weighed is an estimator where the weight may be a reward of the draw, and else a VAE's term."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal
from torch.nn.functional import binary_cross_entropy_with_logits

import gradflow


class Model(nn.Module):
    beta: Tensor
    table: Tensor

    def __init__(self, loss: Callable[[Model, Normal, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.mean, self.std, self.decoder = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(3, 4)
        self.critic = nn.Linear(4, 1)
        self.register_buffer("beta", torch.tensor(0.5))
        self.register_buffer("table", torch.tensor([-1.0, 2.0]))
        self.loss = loss
        self.last = 0.0

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        return self.loss(self, Normal(self.mean(x), self.std(x).exp()), x, given)

    def decoded(self, z: Tensor, x: Tensor) -> Tensor:
        return (self.decoder(z) - x).square().sum(-1)


def divergence(q: Normal, z: Tensor) -> Tensor:
    return (q.log_prob(z) - Normal(torch.zeros(()), torch.ones(())).log_prob(z)).sum(-1)


def reward_of(z: Tensor) -> Tensor:
    return -(z - 1).square().sum(-1)


def masked(model: Model, q: Normal, x: Tensor, given: Tensor) -> Tensor:
    z = q.sample()
    return (model.decoded(z, x) + divergence(q, z) * given).mean()


def annealed(model: Model, q: Normal, x: Tensor, given: Tensor) -> Tensor:
    z = q.sample()
    return (model.decoded(z, x) + divergence(q, z) * model.beta).mean()


def halved(model: Model, q: Normal, x: Tensor, given: Tensor) -> Tensor:
    z = q.sample()
    return (model.decoded(z, x) + divergence(q, z) * 0.5).mean()


def logged(model: Model, q: Normal, x: Tensor, given: Tensor) -> Tensor:
    z = q.sample()
    loss = (model.decoded(z, x) + divergence(q, z)).mean()
    model.last = loss.item()
    return loss


def soft_actor(model: Model, q: Normal, x: Tensor, given: Tensor) -> Tensor:
    z = q.sample()
    return (model.beta * q.log_prob(z).sum(-1) - model.decoder(z).sum(-1)).mean()


def by_a_number(model: Model, q: Normal, x: Tensor, given: Tensor) -> Tensor:
    z = q.sample()
    return -q.log_prob(z).sum() * reward_of(z).mean().item()


def by_a_list(model: Model, q: Normal, x: Tensor, given: Tensor) -> Tensor:
    z = q.sample()
    rewards = torch.tensor(reward_of(z).tolist())
    return -(q.log_prob(z).sum(-1) * (rewards - rewards.mean())).mean()


def by_written_entries(model: Model, q: Normal, x: Tensor, given: Tensor) -> Tensor:
    z, rewards = q.sample(), torch.zeros(len(x))
    for number in range(len(x)):
        rewards[number] = reward_of(z[number]).item()
    return -(q.log_prob(z).sum(-1) * rewards).mean()


def by_a_table(model: Model, q: Normal, x: Tensor, given: Tensor) -> Tensor:
    z = q.sample()
    return -(q.log_prob(z).sum(-1) * model.table[int(z.sum().item() > 0)]).mean()


def by_an_advantage(model: Model, q: Normal, x: Tensor, given: Tensor) -> Tensor:
    z = q.sample()
    value = model.critic(x).squeeze(-1)
    reward = reward_of(z)
    critic = (value - reward).square().mean()
    return critic - (q.log_prob(z).sum(-1) * (reward - value.detach())).mean() - 0.01 * q.entropy().mean()


def by_dice(model: Model, q: Normal, x: Tensor, given: Tensor) -> Tensor:
    z = q.sample()
    term = q.log_prob(z).sum(-1)
    return -((term - term.detach()).exp() * reward_of(z)).mean()


def by_what_is_given(model: Model, q: Normal, x: Tensor, given: Tensor) -> Tensor:
    return -(q.log_prob(q.sample()).sum(-1) * model.beta * (given - given.mean())).mean()


def in_one_operation(model: Model, q: Normal, x: Tensor, given: Tensor) -> Tensor:
    action = Bernoulli(logits=q.mean).sample()
    cost = model.decoded(action, x)
    weight = cost.detach().unsqueeze(1).expand_as(action)
    return cost.sum() - binary_cross_entropy_with_logits(q.mean, action, weight=weight, reduction="sum")


def by_where(model: Model, q: Normal, x: Tensor, given: Tensor) -> Tensor:
    z = q.sample()
    reward = model.decoded(z, x).detach()
    return -torch.where(reward >= reward.mean(), q.log_prob(z).sum(-1), torch.zeros(())).sum()


def clipped(model: Model, q: Normal, x: Tensor, given: Tensor) -> Tensor:
    with torch.no_grad():
        z = q.sample()
        old = q.log_prob(z).sum(-1)
    ratio = (q.log_prob(z).sum(-1) - old).exp()
    return -torch.min(ratio * given, ratio.clamp(0.8, 1.2) * given).mean()


INPUTS = (torch.randn(2, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([1.0, -0.5]))


@pytest.mark.parametrize("loss", [masked, annealed, halved, logged, soft_actor])
def test_what_weighs_and_is_no_reward_excuses_no_draw(loss: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    report = gradflow.check(Model(loss), "mean", inputs=INPUTS)
    assert report.verdict == "wrong"
    (found,) = report.diagnostics
    assert (found.code, found.severity) == ("GF401", "error")
    assert "rsample" in found.helps[0].text


@pytest.mark.parametrize(
    "loss",
    [
        by_a_number,
        by_a_list,
        by_written_entries,
        by_a_table,
        by_an_advantage,
        by_dice,
        by_what_is_given,
        in_one_operation,
        by_where,
        clipped,
    ],
)
def test_what_may_be_a_reward_does(loss: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    report = gradflow.check(Model(loss), "mean", inputs=INPUTS)
    assert report.verdict == "connected"
    assert {one.severity for one in report.diagnostics} == {"info"}
