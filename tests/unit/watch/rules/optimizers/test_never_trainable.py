"""An optimizer of which nothing ever requires grad, beside parts that are frozen on purpose."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradflow.report import Report

Explain = Callable[..., Report]

TRAINING = """
net, head = nn.Linear(3, 4), nn.Linear(4, 1)
{setup}
for _ in range(3):
    net.zero_grad()
    head.zero_grad()
    head(net(torch.ones(2, 3))).square().sum().backward()
    optimizer.step()
"""
OF_BOTH = "optimizer = torch.optim.SGD([*net.parameters(), *head.parameters()], lr=0.1)"
OF_NET = "optimizer = torch.optim.SGD(net.parameters(), lr=0.1)"
FREEZE = "net.requires_grad_(False)"


@pytest.mark.parametrize("beside", ["p.data", "p.detach()"])
def test_tensors_beside_the_parameters(explain: Explain, said: Callable[[Report], object], beside: str) -> None:
    setup = f"optimizer = torch.optim.SGD([{beside} for p in net.parameters()], lr=0.1)"
    report = explain(TRAINING.format(setup=setup))
    assert said(report) == [("optimizer-stale-params", 5, "warning")]
    assert report.diagnostics[0].message.startswith("`SGD` holds tensors that share the numbers of `")


def test_all_switched_off_after_it_was_made(explain: Explain, said: Callable[[Report], object]) -> None:
    report = explain(TRAINING.format(setup=f"{OF_NET}\n{FREEZE}"))
    assert said(report) == [("not-trainable", 6, "warning")]


@pytest.mark.parametrize(
    "setup",
    [
        f"{FREEZE}\n{OF_NET}",  # checked to stay as it is
        f"{OF_BOTH}\n{FREEZE}",
        f"{FREEZE}\n{OF_BOTH}",
        f"{FREEZE}\n{OF_BOTH}\nema = [p.data for p in net.parameters()]",
    ],
)
def test_what_is_frozen_stays_frozen(explain: Explain, setup: str) -> None:
    assert not explain(TRAINING.format(setup=setup)).diagnostics


def test_who_writes_the_gradients_needs_no_flag(explain: Explain) -> None:
    """An estimate is put into `.grad` of tensors that require none."""
    report = explain(
        """
        weight = torch.ones(3)
        optimizer = torch.optim.SGD([weight], lr=0.1)
        for _ in range(3):
            noise = torch.randn(3)
            weight.grad = noise * ((weight + noise).square().sum() - weight.square().sum())
            optimizer.step()
        """
    )
    assert not report.diagnostics


def test_a_leaf_that_a_closure_writes_to_is_the_one_that_is_held(
    explain: Explain, said: Callable[[Report], object]
) -> None:
    """An image that is kept between 0 and 1, as in style transfer: each write gives the tensor another value."""
    report = explain("""
    net = nn.Conv2d(3, 2, 3).requires_grad_(False)
    image = torch.rand(1, 3, 5, 5).requires_grad_(True)
    optimizer = torch.optim.LBFGS([image])
    def closure():
        with torch.no_grad():
            image.clamp_(0, 1)
        optimizer.zero_grad()
        loss = (net(image) - 0.3).square().mean()
        loss.backward()
        return loss
    for _ in range(2):
        optimizer.step(closure)
    """)
    assert said(report) == []
    assert report.seen == ("the parameter in `LBFGS` got a gradient in 2 of 2 steps",)
