"""What an array shows is known for as long as its memory is there, and no longer."""

from __future__ import annotations

import numpy
import torch

from gradflow.record.operations.exported import Exported


def test_memory_that_is_gone_shows_nothing() -> None:
    exported, left, address = Exported(), torch.ones(4), numpy.ones(4)
    array = left.numpy()
    exported.note(left, 3)
    freed = torch.from_numpy(address)
    exported.note(freed, 4)
    assert exported.value_of(torch.from_numpy(address)) == 4
    del freed, left
    assert exported.value_of(torch.from_numpy(array)) == 3
    assert exported.value_of(torch.from_numpy(address)) == -1  # another storage at the same address
