"""``tensor.set_(source)`` is an operation: the tensor goes on as what lies in the memory of the source."""

from __future__ import annotations

import torch
from torch import nn

import gradflow
from gradflow.load.loading import workload_from_objects
from gradflow.record.program_sites import ProgramSites
from gradflow.record.run import run_forward
from gradflow.recording import Recording


class Taking(nn.Module):
    def __init__(self, *, cuts: bool):
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 3)
        self.cuts = cuts

    def forward(self, x):
        h = self.first(x)
        if self.cuts:
            taken = torch.empty(0)
            taken.set_(h.detach())
            h = taken
        return self.last(h)


def recorded(model: nn.Module) -> Recording:
    workload = workload_from_objects(model, torch.ones(2, 4))
    return run_forward(workload, {}, {}, sites=ProgramSites()).recording


def test_it_reads_both_and_lies_where_the_source_does():
    recording = recorded(Taking(cuts=True))
    (row,) = [row for row in range(len(recording)) if recording.name_of(row) == "set_"]
    taken, source = recording.inputs_of(row)
    (made,) = recording.outputs_of(row)
    assert recording.values.memory[made] == recording.values.memory[source] != recording.values.memory[taken]


def test_what_is_written_to_the_source_later_changes_it():
    class Writing(Taking):
        def forward(self, x):
            h = self.first(x).detach()
            taken = torch.empty(0)
            taken.set_(h)
            h.mul_(2.0)
            return self.last(taken)

    recording = recorded(Writing(cuts=True))
    names = [recording.name_of(row) for row in range(len(recording))]
    assert "(changed through a view)" in names[names.index("mul_") :]


def test_the_cut_before_it_is_told_at_its_line():
    report = gradflow.check(Taking(cuts=True), "first", inputs=torch.ones(2, 4), target=0)
    assert [one.code for one in report.diagnostics] == ["GF101"]
    assert "taken.set_(h.detach())" in str(report)


def test_a_model_without_it_stays_connected():
    assert gradflow.check(Taking(cuts=False), "first", inputs=torch.ones(2, 4), target=0).verdict == "connected"


def test_it_is_torchs_own_again_afterwards():
    before = torch.Tensor.set_
    gradflow.check(Taking(cuts=True), "first", inputs=torch.ones(2, 4), target=0)
    assert torch.Tensor.set_ is before
    assert "set_" not in vars(torch.Tensor)
