"""A layer is used when anything that it returned is used, however deep it is nested in the output."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import gradflow


class Reads(nn.Module):
    """`layer` between two linear layers; `read` takes what goes on from what it returns."""

    def __init__(self, layer, read, width=6):
        super().__init__()
        self.stem, self.layer, self.out, self.read = nn.Linear(4, 4), layer, nn.Linear(width, 2), read

    def forward(self, x):
        return self.out(self.read(self.layer(self.stem(x))))


class ManyLevels(nn.Module):
    """Returns a dictionary with a list of twelve states."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 6)

    def forward(self, x):
        h = self.lin(x)
        return {"logits": h.sum(-1), "states": [h * n for n in range(1, 13)]}


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)


def recurrent(cls):
    return cls(4, 6, batch_first=True)


USED = {
    "last cell of an LSTM": (lambda: recurrent(nn.LSTM), lambda o: o[1][1][-1], 6),
    "last state of a GRU": (lambda: recurrent(nn.GRU), lambda o: o[1].squeeze(0), 6),
    "weights of an attention": (Attends, lambda o: o[1].mean(1), 5),
    "the tenth of twelve states": (ManyLevels, lambda o: o["states"][9].mean(1), 6),
}


@pytest.mark.parametrize("way", USED)
@pytest.mark.parametrize("verify", [False, True])
def test_any_output_that_gets_a_gradient_connects_the_layer(way, verify):
    make, read, width = USED[way]
    model, x = Reads(make(), read, width), torch.randn(2, 5, 4)
    kept = []
    handle = model.layer.register_forward_hook(lambda m, i, o: kept.append(_tensor(way, o)) or kept[0].retain_grad())
    model(x)[0].max().backward()
    handle.remove()
    report = gradflow.check(model, "layer", inputs=x, verify=verify)
    assert report.verdict == "connected"
    assert {one.severity for one in report.diagnostics} <= {"info"}
    assert report.gradients[0].l2_norm == pytest.approx(float(kept[0].grad.norm()), rel=1e-4)
    assert any(text.startswith("output: tensor") for text in report.assumptions)


def _tensor(way, output):
    if way == "the tenth of twelve states":
        return output["states"][9]
    return output[1][1] if way == "last cell of an LSTM" else output[1]


def test_an_output_whose_gradient_is_cut_is_broken_at_the_cut():
    model = Reads(recurrent(nn.LSTM), lambda o: o[1][0][-1].detach())
    report = gradflow.check(model, "layer", inputs=torch.randn(2, 5, 4))
    assert report.verdict == "broken"
    assert [one.name for one in report.diagnostics] == ["detach"]


def test_an_output_that_goes_on_as_a_python_number_is_not_unused():
    model = Reads(recurrent(nn.GRU), lambda o: torch.full((2, 6), o[1].sum().item()))
    assert gradflow.check(model, "layer", inputs=torch.randn(2, 5, 4)).verdict == "broken"


def test_a_layer_none_of_whose_outputs_is_read_stays_unused():
    class Drops(Reads):
        def forward(self, x):
            h = self.stem(x)
            self.layer(h)
            return self.out(h[:, 0])

    report = gradflow.check(Drops(recurrent(nn.LSTM), None, width=4), "layer", inputs=torch.randn(2, 5, 4))
    assert report.verdict == "unused"


def test_the_first_output_stays_where_it_gets_a_gradient():
    model, x = Reads(recurrent(nn.LSTM), lambda o: o[0][:, -1] + o[1][0][-1]), torch.randn(2, 5, 4)
    report = gradflow.check(model, "layer", inputs=x)
    assert report.verdict == "connected"
    assert report.target.shape == (2, 5, 6)
    assert not any(text.startswith("output:") for text in report.assumptions)


def test_the_map_is_made_of_the_output_that_is_used():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x):
            h = self.conv(x)
            return h.mean((2, 3)), h.relu()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair, self.out = Pair(), nn.Linear(4, 2)

        def forward(self, x):
            return self.out(self.pair(x)[1].mean((2, 3)))

    model, x = Net(), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        model.out.weight.abs_()
    report = gradflow.check(model, "pair", inputs=x, cam=True)
    activation = model.pair(x)[1].detach()
    weight = model.out.weight[model(x)[0].argmax()].detach()
    expected = (activation * weight[:, None, None]).sum(1).relu().squeeze()
    found = torch.as_tensor(report.cam.saliency).float().squeeze()
    torch.testing.assert_close(found / found.max(), expected / expected.max(), rtol=1e-3, atol=1e-3)
