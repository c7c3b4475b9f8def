"""Many harmless things cost one trial, and none that matters is left out."""

from __future__ import annotations

import pytest

from gradflow.probe.together.halving import worth_trying


class Trials:
    def __init__(self, *harmful: int) -> None:
        self.harmful = set(harmful)
        self.count = 0

    def make_no_difference(self, things) -> bool:
        self.count += 1
        return self.harmful.isdisjoint(things)


def test_few_are_all_tried_and_never_together():
    trials = Trials()
    assert worth_trying([1, 2, 3], trials.make_no_difference, few=3) == [1, 2, 3]
    assert trials.count == 0


def test_many_harmless_ones_cost_one_trial():
    trials = Trials()
    assert worth_trying(range(1000), trials.make_no_difference, few=4) == []
    assert trials.count == 1


@pytest.mark.parametrize("harmful", [(0,), (999,), (3, 500), tuple(range(0, 1000, 50))])
def test_none_that_matters_is_left_out(harmful):
    left = worth_trying(range(1000), Trials(*harmful).make_no_difference, few=4)
    assert set(harmful) <= set(left)
    assert left == sorted(left)
    assert len(left) <= 2 * 4 * len(harmful)
