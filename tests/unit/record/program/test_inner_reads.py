"""What the forward of a Function reads besides its arguments, however that is handed to an operation."""

from __future__ import annotations

import pytest
import torch

import gradflow
from gradflow.record.program.operations.inner_reads import InnerReads
from gradflow.record.program.watching import Watch

READS = {
    "by position": torch.add,
    "by name": lambda x, other: torch.add(x, other=other),
    "in a list by name": lambda x, other: torch.stack(tensors=[x, other]).sum(0),
    "not at all": lambda x, other: torch.add(x, 1),
}


@pytest.mark.parametrize("how", READS)
def test_it_is_noted(how: str) -> None:
    weight = torch.ones(2, requires_grad=True)
    watch = Watch()
    with watch.watching():
        other = weight * 3

        class Reading(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return READS[how](x, other)

            @staticmethod
            def backward(ctx, gradient):
                return gradient

        Reading.apply(torch.ones(2, requires_grad=True)).sum().backward()
        value = watch.recorder.known_value(other)
    observation = watch.seen()
    assert observation.recording.completeness.is_to_the_end
    read = {one for values in observation.inner_reads.values() for one in values}
    assert (value in read) is (how != "not at all")


def test_a_failure_there_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise LookupError("injected")

    monkeypatch.setattr(InnerReads, "note", fail)
    weight = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.5)
    with gradflow.explain(quiet=True) as explanation:
        weight.sum().backward()
        optimizer.step()
    assert weight.tolist() == [0.5, 0.5]
    assert any("own observation failed: LookupError" in text for text in explanation.report.undetermined)
