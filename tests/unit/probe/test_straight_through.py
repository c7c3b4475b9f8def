"""The straight-through form is looked for where it can be, not at every sum after a cut."""

from __future__ import annotations

import pytest
import torch

from gradflow.graph.cut_group import CutGroup
from gradflow.probe import straight_through
from gradflow.record.program.watching import Watch


@pytest.mark.parametrize(("is_form", "most"), [(True, 4), (False, 0)])
def test_a_long_chain_of_sums_is_taken_apart_only_where_a_detached_value_meets_what_it_is_made_of(
    is_form: bool, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_apart = []
    combination = straight_through._combination
    monkeypatch.setattr(
        straight_through,
        "_combination",
        lambda *arguments, **keywords: taken_apart.append(arguments) or combination(*arguments, **keywords),
    )
    watch, weight = Watch(), torch.ones(2, requires_grad=True)
    with watch.watching():
        x = weight * 2
        start = x + (x.round() - x).detach() if is_form else (x.round() - x).detach()
        out = start + torch.zeros(2, requires_grad=True)
        for _ in range(300):
            out = out + 0.5
        out.sum().backward()
    recording = watch.seen().recording
    row = next(row for row in range(len(recording)) if recording.name_of(row) == "detach")
    cut = CutGroup(cause="detach", operation=row, value=recording.inputs_of(row)[0])
    assert straight_through.is_straight_through(recording, cut) is is_form
    assert len(taken_apart) <= most
