"""A complex layer is moved in both of its parts, an integer one not at all; what is not moved is not called idle."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import gradflow


class Waves(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin, self.spectrum, self.out = nn.Linear(6, 6), Spectrum(), nn.Linear(4, 2)

    def forward(self, x):
        return self.out(self.read(self.spectrum(self.lin(x)), x))


class Spectrum(nn.Module):
    def forward(self, x):
        return torch.fft.rfft(x)


class WithoutPhase(Waves):
    def read(self, z, x):
        return z.abs() + z.angle().detach()  # <- here


class Whole(Waves):
    def read(self, z, x):
        return (z * z.conj()).real + z.imag


class ByNumber(Waves):
    def read(self, z, x):
        return x[:, :4] * complex(z.sum()).imag


class Dropped(Waves):
    def read(self, z, x):
        return x[:, :4]


def check(cls, verify):
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad=True")
        return gradflow.check(cls(), "spectrum", inputs=torch.randn(2, 6), verify=verify)


@pytest.mark.parametrize("verify", [False, True])
def test_a_part_that_is_cut_makes_the_gradient_wrong(verify):
    report = check(WithoutPhase, verify)
    assert report.verdict == "wrong"
    assert [one.name for one in report.diagnostics if one.severity == "error"] == ["partial-detach"]


@pytest.mark.parametrize("verify", [False, True])
def test_a_whole_complex_gradient_is_connected_and_verified(verify):
    report = check(Whole, verify)
    assert report.verdict == "connected"
    assert {one.severity for one in report.diagnostics} <= {"info"}
    assert [one.message.startswith("verified") for one in report.diagnostics] == [True] * verify


def test_a_complex_value_that_goes_on_as_a_number_is_broken():
    assert check(ByNumber, verify=False).verdict == "broken"


def test_a_complex_value_that_nobody_reads_is_unused():
    assert check(Dropped, verify=False).verdict == "unused"


class Picks(nn.Module):
    def __init__(self, read):
        super().__init__()
        self.lin, self.pick, self.out, self.read = nn.Linear(4, 4), Argmax(), nn.Linear(4, 2), read

    def forward(self, x):
        return self.out(self.read(self.pick(self.lin(x)), x))


class Argmax(nn.Module):
    def forward(self, x):
        return x.argmax(-1)


def test_whole_numbers_that_leave_torch_are_used():
    model = Picks(lambda index, x: x * (1 + sum(index.tolist())))
    report = gradflow.check(model, "pick", inputs=torch.randn(3, 4))
    assert report.verdict == "broken"
    assert "GF302" not in [one.code for one in report.diagnostics]


def test_whole_numbers_that_nobody_reads_are_unused():
    report = gradflow.check(Picks(lambda index, x: x), "pick", inputs=torch.randn(3, 4))
    assert report.verdict == "unused"
    assert not report.undetermined
