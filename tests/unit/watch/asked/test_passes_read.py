"""What a backward pass brought was used by the program where it was read, however often the line ran before."""

from __future__ import annotations

import pytest
import torch

import gradflow


def said(*, reads: bool, passes: int = 70) -> str:
    with gradflow.explain(quiet=True) as explanation:
        weight, other = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
        optimizer = torch.optim.SGD([weight, other], lr=0.1)
        norms = []
        for _ in range(passes):
            optimizer.zero_grad()
            (weight.sum() * other.sum()).backward()
            if reads:
                norms.append(weight.grad.norm().item())
        optimizer.zero_grad()
        (weight.sum() * other.sum()).backward()
        optimizer.step()
    return " ".join(str(explanation.report).split())


def test_a_pass_whose_gradient_was_read_is_not_told_as_cleared():
    assert "was cleared before an optimizer stepped" not in said(reads=True)


@pytest.mark.parametrize("passes", [3, 70])
def test_one_that_nobody_read_is(passes):
    assert f"what {passes} of {passes + 1} backward passes brought was cleared" in said(reads=False, passes=passes)


def test_what_autograd_grad_gave_is_no_pass_that_is_cleared():
    with gradflow.explain(quiet=True) as explanation:
        weight = torch.ones(2, requires_grad=True)
        optimizer = torch.optim.SGD([weight], lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            (slope,) = torch.autograd.grad(weight.pow(2).sum(), weight, create_graph=True)
            slope.sum().backward()
            optimizer.step()
    assert "was cleared" not in str(explanation.report)
