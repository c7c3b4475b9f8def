"""What another thread has met is numbered by the thread whose operations are recorded, before it meets it itself."""

from __future__ import annotations

import torch

from gradflow.location import SiteTable
from gradflow.record.operations.grad_mode import GradModes
from gradflow.record.operations.tables import Tables


def test_it_has_one_number_whoever_met_it_first() -> None:
    sites = SiteTable()
    tables, told = Tables(sites, GradModes(sites, None)), list[int]()
    made, known, gone = torch.ones(2), torch.ones(3), torch.ones(4, requires_grad=True) * 2
    here = tables.value_of(known)
    for tensor in (gone, made, known):
        tables.meet_elsewhere(tensor, told.append)
    del gone, tensor
    assert told == []
    assert tables.value_of(known) == here  # nothing new is met: no need to number the others yet
    assert told == []
    assert tables.value_of(made) == told[1]
    assert told == [1, 2, here]
    assert tables.values.shape == [(3,), (4,), (2,)]
    assert tables.values.requires_grad == [False, True, False]
    tables.number_met_elsewhere()
    assert len(told) == 3
