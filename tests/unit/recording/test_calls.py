"""Calls in columns, and as objects."""

from __future__ import annotations

import pickle

from gradflow.recording import CallColumns, ModuleCall, ModuleCalls


def columns() -> CallColumns:
    return CallColumns(
        module=["", "a"],
        type_name=["Net", "Linear"],
        parent=[-1, 0],
        site=[-1, 3],
        first_operation=[0, 0],
        end_operation=[-1, 1],
        outputs=[(), (5,)],
        raised={},
    )


def test_calls_are_as_they_were_when_they_were_taken() -> None:
    recorded = columns()
    calls = ModuleCalls(recorded)
    recorded.end_operation[0], recorded.raised[0] = 4, "ValueError"
    recorded.module.append("b")
    assert len(calls) == 2
    assert (calls[0].end_operation, calls[0].raised) == (-1, "")


def test_each_call_is_one_object_wherever_it_is_asked_for() -> None:
    calls = ModuleCalls(columns())
    inner = ModuleCall(
        id=1, module="a", type_name="Linear", parent=0, site=3, first_operation=0, end_operation=1, outputs=(5,)
    )
    assert calls[1] == inner
    assert calls[-1] is calls[1] is list(calls)[1]
    assert calls[1:] == (inner,)
    assert calls == ModuleCalls(columns()) == pickle.loads(pickle.dumps(calls))
    assert calls != ()
