"""Only a checkpoint that runs as a Function, of which single gradients are asked, is called reentrant."""

from __future__ import annotations

import functools

import pytest
import torch
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

import gradflow


def keep_products(context, operation, *args, **kwargs):
    kept = operation in (torch.ops.aten.mul.Tensor, torch.ops.aten.exp.default)
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE


def writes_over(x):
    return (x * x).add_(1).tanh().exp()


def is_short(x):
    writes_over.calls += 1
    return x.sin().exp() if writes_over.calls == 1 else x * 1.0


def selective(x):
    contexts = functools.partial(create_selective_checkpoint_contexts, keep_products)
    checkpoint(writes_over, x, use_reentrant=False, context_fn=contexts).sum().backward()


def recomputed_otherwise(x):
    writes_over.calls = 0
    checkpoint(is_short, x, use_reentrant=False).sum().backward()


@pytest.mark.parametrize("program", [selective, recomputed_otherwise])
def test_what_another_kind_of_checkpoint_refuses_is_not_put_down_to_a_reentrant_one(program):
    explanation = gradflow.explain(quiet=True)
    with explanation, pytest.raises(RuntimeError, match="checkpoint"):
        program(torch.ones(3, requires_grad=True))
    names = [one.name for one in explanation.report.diagnostics]
    assert names
    assert "reentrant-checkpoint" not in names


def asked_by_grad(x):
    torch.autograd.grad(checkpoint(torch.sin, x, use_reentrant=True).sum(), x)


def asked_by_inputs(x):
    checkpoint(torch.sin, x, use_reentrant=True).sum().backward(inputs=[x])


@pytest.mark.parametrize("program", [asked_by_grad, asked_by_inputs])
def test_a_reentrant_checkpoint_is_told_as_one(program):
    explanation = gradflow.explain(quiet=True)
    with explanation, pytest.raises(RuntimeError, match="checkpoint"):
        program(torch.ones(3, requires_grad=True))
    (found,) = [one for one in explanation.report.diagnostics if one.name == "reentrant-checkpoint"]
    assert found.location.line == program.__code__.co_firstlineno + 1
