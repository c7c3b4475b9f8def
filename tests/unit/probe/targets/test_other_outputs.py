"""A layer that returns several tensors is whole when none of those that the score uses is cut."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


class Encoder(nn.Module):
    """Returns a mean and a spread, as ``pack`` puts them together."""

    def __init__(self, pack=lambda mean, spread: (mean, spread)) -> None:
        super().__init__()
        self.mean, self.spread, self.pack = nn.Linear(4, 3), nn.Linear(4, 3), pack

    def forward(self, x):
        return self.pack(self.mean(x), self.spread(x))


class Decoder(nn.Module):
    """``read`` makes one tensor of what the encoder returns."""

    def __init__(self, encoder, read) -> None:
        super().__init__()
        self.encoder, self.out, self.read = encoder, nn.Linear(3, 2), read

    def forward(self, x):
        return self.out(self.read(self.encoder(x)))


def check(encoder, read, **options) -> gradflow.Report:
    torch.manual_seed(0)
    return gradflow.check(Decoder(encoder, read), "encoder", inputs=torch.randn(5, 4), target=1, **options)


PACKS = {
    "tuple": (lambda mean, spread: (mean, spread), lambda o: o),
    "list": (lambda mean, spread: [mean, spread], lambda o: o),
    "dict": (lambda mean, spread: {"mean": mean, "spread": spread}, lambda o: tuple(o.values())),
    "nested": (lambda mean, spread: (mean, {"more": [spread]}), lambda o: (o[0], o[1]["more"][0])),
}


@pytest.mark.parametrize("kind", PACKS)
@pytest.mark.parametrize("verify", [False, True])
def test_a_second_tensor_that_is_cut_is_told(kind, verify):
    pack, unpack = PACKS[kind]

    def read(output):
        mean, spread = unpack(output)
        return mean + spread.detach().exp()

    report = check(Encoder(pack), read, verify=verify)
    found, *verified = report.diagnostics
    assert (report.verdict, found.name) == ("wrong", "partial-detach")
    assert all("the tensor of `encoder` that is looked at" in one.message for one in verified)
    assert len(verified) == verify
    assert "tensor 2 of those that `encoder` returns" in found.message
    assert found.location.line == read.__code__.co_firstlineno + 2


def test_a_second_tensor_that_leaves_torch_is_told():
    report = check(Encoder(), lambda output: output[0] * float(output[1].detach().norm()))
    assert report.verdict == "wrong"


@pytest.mark.parametrize(
    "read",
    [
        lambda output: output[0] + output[1].exp(),
        lambda output: output[0],
        lambda output: output[0] + 0 * output[1].detach(),
        lambda output: output[0] + torch.zeros_like(output[1].detach()),
        lambda output: (output[0], seen.append(output[1].detach().norm().item()))[0],
    ],
    ids=["both used", "second unused", "second times zero", "second as a shape", "second logged"],
)
def test_a_second_tensor_of_which_nothing_is_missing_changes_nothing(read):
    report = check(Encoder(), read)
    assert (report.verdict, report.diagnostics, report.undetermined) == ("connected", (), ())


seen: list[float] = []


def test_what_is_cut_within_the_layer_is_no_matter_of_what_it_hands_on():
    class Cutting(Encoder):
        def forward(self, x):
            hidden = self.spread(x)
            return self.mean(x) + hidden.detach(), hidden

    report = check(Cutting(), lambda output: output[0] + output[1])
    assert (report.verdict, report.undetermined) == ("connected", ())


def test_a_state_that_is_cut_between_the_calls_of_a_cell_is_told():
    class Chunks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.out = nn.GRU(4, 3, batch_first=True), nn.Linear(3, 2)

        def forward(self, x):
            state = None
            for chunk in x.split(2, 1):
                output, state = self.cell(chunk, state if state is None else state.detach())
            return self.out(output[:, -1])

    torch.manual_seed(0)
    report = gradflow.check(Chunks(), "cell", inputs=torch.randn(2, 6, 4))
    (found,) = report.diagnostics
    assert (report.verdict, found.name) == ("wrong", "partial-detach")
