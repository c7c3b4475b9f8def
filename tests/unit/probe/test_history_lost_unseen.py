"""A layer whose output came back from numbers, or from where nobody looked, is not said to have nothing trainable."""

from __future__ import annotations

import threading

import numpy
import pytest
import torch
from torch import nn

import gradflow


class Encoder(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.inner, self.how = nn.Linear(4, 6), how

    def forward(self, x):
        return self.how(self.inner(x))


class Net(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.encoder, self.head = Encoder(how), nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.encoder(x))


def in_thread(h):
    found = []
    thread = threading.Thread(target=lambda: found.append(h.detach() * 2))
    thread.start()
    thread.join()
    return found[0]


LOST = {
    "list": (lambda h: torch.tensor(h.tolist()), "`tolist`"),
    "array": (lambda h: torch.from_numpy(numpy.tanh(h.detach().numpy())), "`numpy`"),
    "fill": (lambda h: torch.full((2, 6), h.mean().item()), "`item`"),
    "thread": (in_thread, "where gradflow cannot look"),
    "transform": (torch.vmap(lambda row: row.detach() * 2), "where gradflow cannot look"),
}


@pytest.mark.parametrize("how", LOST)
def test_why_is_said_as_far_as_it_is_known(how):
    function, word = LOST[how]
    report = gradflow.check(Net(function), "encoder", inputs=torch.ones(2, 4), target=0)
    assert report.verdict == "broken"
    assert "GF109" not in [one.code for one in report.diagnostics]
    (said,) = report.undetermined
    assert said.startswith("why no gradient is recorded at `encoder`, because")
    assert word in said


class Frozen(Net):
    """Nothing before the layer's output requires grad, whatever else there is."""

    def __init__(self, how):
        super().__init__(how)
        self.encoder.requires_grad_(False)


@pytest.mark.parametrize(
    "how",
    [
        lambda h: h * torch.FloatTensor([2.0]),
        lambda h: torch.tensor(h.tolist()),
        lambda h: h + torch.rand_like(h),
        lambda h: h * torch.full((6,), 3.0),
    ],
    ids=["constant", "list", "noise", "fill"],
)
def test_what_is_frozen_is_told_as_that(how):
    report = gradflow.check(Frozen(how), "encoder", inputs=torch.ones(2, 4), target=0)
    assert [one.code for one in report.diagnostics] == ["GF109"]


def test_a_write_by_way_of_data_is_told_as_that():
    def stored(h):
        out = torch.empty(2, 6)
        out.data.copy_(h)
        return out

    report = gradflow.check(Net(stored), "encoder", inputs=torch.ones(2, 4), target=0)
    assert [one.code for one in report.diagnostics] == ["GF105"]
