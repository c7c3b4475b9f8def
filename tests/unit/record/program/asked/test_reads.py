"""Every read of ``.grad`` counts, and the first of another kind is noted however late it comes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gradflow.record.program.asked import reads
from gradflow.record.program.watching import Watch
from gradflow.watch.explaining import explain_observation
from gradflow.watch.facts.seen import what_was_seen
from gradflow.watch.facts.watched import not_watched
from gradflow.watch.observation import Observation
from gradflow.watch.observing import observation_of

TURNS = 70


def read_in_a_loop(cut_from: int) -> Observation:
    watch, layer = Watch(), nn.Linear(2, 1)
    found = []
    with watch.watching():
        for turn in range(TURNS):
            layer.zero_grad()
            out = layer(torch.ones(1, 2))
            if turn >= cut_from:
                out = out.detach() + 0 * layer.bias
            out.sum().backward()
            found.append(layer.weight.grad)
    return observation_of(watch)


def test_a_healthy_loop_is_counted_whole() -> None:
    observation = read_in_a_loop(TURNS)
    assert len(observation.program.reads) == reads._PER_PLACE
    assert what_was_seen(observation) == (
        f"the program looked {TURNS} times at a gradient, and each time there was one",
    )
    assert explain_observation(observation).verdict == "connected"
    assert not_watched(observation) == ()


def test_a_gradient_that_is_lost_late_is_found_and_counted() -> None:
    observation = read_in_a_loop(reads._PER_PLACE + 10)
    assert what_was_seen(observation) == (
        f"the program looked {TURNS} times at a gradient, and 60 times there was one",
    )
    assert [one.name for one in explain_observation(observation).diagnostics] == ["detach"]


@pytest.mark.parametrize("fault", [3, reads._PER_PLACE + 10])
@pytest.mark.parametrize(("spoil", "verdict"), [(torch.round, "connected"), (lambda out: (out * 0).sqrt(), "nan")])
def test_a_gradient_that_goes_bad_is_found_early_or_late(fault: int, spoil: object, verdict: str) -> None:
    watch, layer = Watch(), nn.Linear(2, 1)
    found = []
    with watch.watching():
        for turn in range(fault + 3):
            layer.zero_grad()
            out = layer(torch.ones(1, 2))
            (spoil(out) if turn >= fault else out).sum().backward()  # type: ignore[operator]
            found.append(layer.weight.grad)
    observation = observation_of(watch)
    assert sum(read.times for read in observation.program.reads) == fault + 3
    last = observation.program.reads[-1].measured
    assert (last.is_zero, last.is_finite) == (verdict == "connected", verdict == "connected")
    # zeros in some turns of a loop are no fault, what is not finite is one
    assert explain_observation(observation).verdict == verdict


@pytest.mark.parametrize("kept", [2, 20_000])
def test_beyond_what_is_noted_one_by_one_only_the_same_of_a_tensor_is_one(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "_ONE_BY_ONE", kept)
    watch = Watch()
    layers = [nn.Linear(2, 1) for _ in range(6)]
    unused = nn.Linear(2, 1)
    with watch.watching():
        for _ in range(3):
            for number, layer in enumerate(layers):
                hidden = layer(torch.ones(1, 2))
                (hidden.detach() + 0 * layer.bias if number == 5 else hidden).sum().backward()
            for layer in (unused, *layers):
                str(layer.weight.grad)
    observation = observation_of(watch)
    assert sum(read.times for read in observation.program.reads) == 21
    assert len(observation.program.reads) == (7 if kept == 2 else 21)
    # another tensor has met nothing at the same place before
    assert "detach" in [one.name for one in explain_observation(observation).diagnostics]
    assert not_watched(observation) == ()
