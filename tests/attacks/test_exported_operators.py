"""Exported programs made of operators that reach beyond their memory, or compute without end.

Every operator here is one of torch, and computes; what does the harm is what the file gives it.
"""

from __future__ import annotations

import io

import pytest
import torch
from torch import nn

from tests.attacks.archives import quietly
from tests.attacks.commands import assert_refused_or_harmless

FAR = 10**9
MEMORY = 3 * 2**29
aten = torch.ops.aten


def far(*shape):
    return torch.full(shape, FAR)


# operators that the backward pass or another kernel calls, with arguments that it has checked before
BEYOND = {
    "segment_reduce": lambda one: torch.segment_reduce(one(2), "sum", lengths=far(2), unsafe=True),
    "segment_reduce_backward": lambda one: aten._segment_reduce_backward(one(2), one(2), one(2), "sum", lengths=far(2)),
    "max_pool2d_backward": lambda one: aten.max_pool2d_with_indices_backward(
        one(1, 1, 2, 2), one(1, 1, 4, 4), [2, 2], [2, 2], [0, 0], [1, 1], False, far(1, 1, 2, 2)
    ),
    "adaptive_max_pool2d_backward": lambda one: aten.adaptive_max_pool2d_backward(
        one(1, 1, 2, 2), one(1, 1, 4, 4), far(1, 1, 2, 2)
    ),
    "embedding_bag_backward": lambda one: aten._embedding_bag_dense_backward(
        one(1, 4), far(2), torch.zeros(2).long(), torch.tensor([2]), torch.zeros(1).long(), 4, False, 0, None, -1
    ),
    "compressed rows": lambda _: aten._convert_indices_from_csr_to_coo(
        torch.tensor([0, FAR, FAR]), torch.tensor([1, 2])
    ),
}

ENDLESS = {
    "sum of the same": lambda one: one(1).expand(2**45).sum(),
    "product of the same": lambda one: one(1, 1).expand(2**25, 2**25).prod(1)[:1].sum(),
    "counting": lambda _: torch.arange(2**45).sum(),
    "all pairs": lambda one: torch.cdist(one(1, 1).expand(2**24, 1), one(1, 1).expand(2**24, 1)).sum(),
    "padding": lambda one: nn.functional.pad(one(1), (2**40, 2**40)).sum(),
    "repeating": lambda one: one(1).repeat(2**42).sum(),
}


class Odd(nn.Module):
    def __init__(self, compute):
        super().__init__()
        self.a = nn.Linear(5, 4)
        self.compute = compute

    def forward(self, x):
        return self.a(x) + self.compute(lambda *shape: x.new_ones(shape)).sum()


def write(path, compute):
    file = io.BytesIO()
    with quietly():
        try:
            program = torch.export.export(Odd(compute), (torch.ones(2, 5),))
        except Exception as error:  # noqa: BLE001 - which operators can be exported depends on the version of torch
            pytest.skip(f"torch {torch.__version__} does not export it: {error}")
        torch.export.save(program, file)
    path.write_bytes(file.getvalue())


# forward operators, so a program may call them; that torch may end the process then is said on the security page
UNCHECKED = ("segment_reduce", "compressed rows")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.xfail(reason="torch does not check these", strict=False))
        if case in UNCHECKED
        else case
        for case in BEYOND
    ],
)
def test_an_operator_does_not_reach_beyond_its_memory(cli, tmp_path, canary, case):
    write(tmp_path / "m.pt2", BEYOND[case])
    done = cli("check", "m.pt2", "--layer", "a")
    assert done.status is None or done.status >= 0, f"the process died of signal {-done.status}"
    assert_refused_or_harmless(done, canary)


@pytest.mark.parametrize("case", ENDLESS)
def test_a_program_does_not_compute_without_end(cli, tmp_path, canary, case):
    write(tmp_path / "m.pt2", ENDLESS[case])
    done = cli("check", "m.pt2", "--layer", "a", timeout=10, memory=MEMORY)
    assert done.status is not None, "it had to be stopped"
    assert_refused_or_harmless(done, canary)
