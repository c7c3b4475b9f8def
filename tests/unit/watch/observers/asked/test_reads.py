"""Every read of ``.grad`` counts, and the first of another kind is noted however late it comes."""

from __future__ import annotations

import torch
from torch import nn

from gradflow.watch.events import Observation
from gradflow.watch.explaining import explain_observation
from gradflow.watch.facts.seen import what_was_seen
from gradflow.watch.facts.watched import not_watched
from gradflow.watch.observers.asked import reads
from gradflow.watch.observers.watching import Watch

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
    return watch.observation()


def test_a_healthy_loop_is_counted_whole() -> None:
    observation = read_in_a_loop(TURNS)
    assert len(observation.reads) == reads._PER_PLACE
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


def test_what_is_left_out_is_said(monkeypatch) -> None:
    monkeypatch.setattr(reads, "READS_KEPT", 10)
    watch = Watch()
    layers = [nn.Linear(2, 1) for _ in range(4)]
    with watch.watching():
        for layer in layers:
            layer(torch.ones(1, 2)).sum().backward()
            for parameter in (*layer.parameters(), *layer.parameters()):
                assert parameter.grad is not None
    observation = watch.observation()
    assert sum(read.times for read in observation.reads) + observation.reads_left_out == 16
    assert observation.reads_left_out == 4
    assert "what 4 reads of `.grad` gave" in not_watched(observation)[0]
