from __future__ import annotations

import pytest
import torch
from torch import nn

from gradflow.errors import UsageError
from gradflow.load.inputs.input_guess import guess_inputs


class Flattening(nn.Module):
    """Runs at 28 x 28 only, as many first networks do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 5)
        self.fc = nn.Linear(6 * 24 * 24, 10)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.fc(self.conv(x).flatten(1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(5, 4, batch_first=True)

    def forward(self, x):
        return self.rnn(x)[0]


def guess(model):
    return guess_inputs(model, input_size=None, seed=0)


@pytest.mark.parametrize(
    ("model", "shape", "dtype"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1)), (1, 3, 32, 32), torch.float32),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 250_000)),
            (1, 3, 224, 224),
            torch.float32,
        ),
        (nn.Conv1d(2, 4, 3), (1, 2, 64), torch.float32),
        (nn.Conv3d(1, 2, 3), (1, 1, 16, 32, 32), torch.float32),
        (nn.Linear(7, 2), (1, 7), torch.float32),
        (nn.Linear(7, 2).double(), (1, 7), torch.float64),
        (nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2)), (1, 16), torch.int64),
        (nn.Embedding(9, 4).half(), (1, 16), torch.int64),
        (Recurrent(), (1, 16, 5), torch.float32),
        (nn.TransformerEncoderLayer(8, 2, batch_first=True), (1, 16, 8), torch.float32),
        (Flattening(), (1, 1, 28, 28), torch.float32),
        (nn.LazyConv2d(4, 3), (1, 3, 32, 32), torch.float32),
    ],
)
def test_the_first_layer_decides(model, shape, dtype):
    (tensor,) = guess(model).arguments
    assert (tuple(tensor.shape), tensor.dtype) == (shape, dtype)
    model(tensor)


def test_trying_sizes_leaves_the_model_and_the_generator_alone(capsys):
    model = Flattening()
    fired = []
    model.conv.register_forward_hook(lambda *_: fired.append(True))
    state = torch.random.get_rng_state()
    guess(model)
    assert (model.calls, fired, capsys.readouterr().out) == (0, [], "")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.fc.weight.device.type == "cpu"


def test_the_reason_names_the_layer():
    assert guess(Flattening()).reason == "chosen for the first layer `conv` (Conv2d)"


def test_a_model_without_a_sign_asks_for_a_shape():
    with pytest.raises(UsageError, match="no layer that tells") as caught:
        guess(nn.Sequential(nn.ReLU()))
    assert "--input-shape" in caught.value.hint
