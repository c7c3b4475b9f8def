"""An operation that reads many values and gives many, as `torch.autograd.grad` does, costs no product of the two."""

from __future__ import annotations

import pytest

from gradflow.graph.dependence import analyse
from gradflow.graph.stretches.stretch import Stretch
from gradflow.recording import OperationColumns, Recording, ValueColumns


def all_from_all(count: int) -> Recording:
    values = ValueColumns(
        producer=[-1] * count + [0] * count,
        requires_grad=[True] * count + [index % 2 == 0 for index in range(count)],
        shape=[(2,)] * (2 * count),
        dtype=[0] * (2 * count),
        memory=list(range(2 * count)),
    )
    operations = OperationColumns(
        name=[0],
        site=[-1],
        call=[-1],
        mode=[0],
        region=[-1],
        sequence_start=[0],
        sequence_end=[1],
        inputs=list(range(count)),
        argument=list(range(count)),
        input_start=[0, count],
        outputs=list(range(count, 2 * count)),
        output_start=[0, count],
    )
    return Recording(
        operations=operations,
        values=values,
        names=("autograd.grad",),
        dtypes=("float32",),
        spans=(),
        calls=(),
        leaf_names={},
        score=count,
        layer_values={},
    )


def test_the_nearest_input_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    rank = Stretch._rank

    def counting(self: Stretch, value: int) -> tuple[int, int, int]:
        asked.append(value)
        return rank(self, value)

    monkeypatch.setattr(Stretch, "_rank", counting)
    found = analyse(all_from_all(50), range(50))
    assert found.score_carries
    assert [bool(carried) for carried in found.carries[50:]] == [index % 2 == 0 for index in range(50)]
    assert len(asked) <= 4 * 50
