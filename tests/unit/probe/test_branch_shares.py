"""Shares of branches are measured without changing what backward does."""

from __future__ import annotations

import torch

from gradflow.graph.branches import RawBranch, RawPath
from gradflow.probe.branch_shares import AutogradFacts, _Fork


def fork_waiting_for(count: int) -> tuple[_Fork, AutogradFacts]:
    facts = AutogradFacts()
    path = RawPath(nodes=(), is_identity=True, carries_gradient=True)
    fork = _Fork(RawBranch(fork=0, join=1, paths=(path, path), kind="parallel", module=""), facts)
    fork.expected = count
    return fork, facts


def test_no_gradient_of_the_running_backward_is_held() -> None:
    # autograd adds up in place only what nobody else holds, and the layout of a sum depends on that
    fork, _ = fork_waiting_for(3)
    first, second = torch.ones(2, 3), torch.ones(2, 3)
    fork.add(0, 0, first)
    fork.add(0, 0, second)
    held = fork.sums[0, 0]
    assert held.tolist() == [[2.0] * 3] * 2
    assert held.untyped_storage().data_ptr() not in {first.untyped_storage().data_ptr(), second.data_ptr()}
    assert first.tolist() == second.tolist() == [[1.0] * 3] * 2


def test_shares_sum_to_one() -> None:
    fork, facts = fork_waiting_for(2)
    fork.add(0, 0, torch.tensor([3.0, 0.0]))
    fork.add(1, 0, torch.tensor([1.0, 0.0]))
    assert facts.shares == {(0, 1, 0): 0.75, (0, 1, 1): 0.25}
    assert fork.sums == {}
