from __future__ import annotations

import numpy
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


def layer(kind, attribute, value):
    """A layer whose attribute says something else than its weights, as one from a file may."""
    made = kind()
    object.__setattr__(made, attribute, value)
    return nn.Sequential(made)


@pytest.mark.parametrize("value", [-5, "five", None, 5.0, 10**40, torch.ones(3), [5], object()])
@pytest.mark.parametrize(
    ("kind", "attribute"),
    [
        (lambda: nn.Linear(5, 4), "in_features"),
        (lambda: nn.Conv2d(5, 4, 1), "in_channels"),
        (lambda: nn.Conv1d(5, 4, 1), "in_channels"),
        (lambda: nn.LSTM(5, 4), "input_size"),
        (lambda: nn.GRUCell(5, 4), "input_size"),
        (lambda: nn.MultiheadAttention(4, 2), "embed_dim"),
    ],
)
def test_a_width_that_is_none_is_one_error(kind, attribute, value):
    with pytest.raises(UsageError, match="no input can be inferred from the first layer `0`"):
        guess(layer(kind, attribute, value))


@pytest.mark.parametrize("value", [(10**9,) * 9, "abc", 5, None, (-1,), (2.5,), (10**40,), tuple(range(10_000))])
def test_a_norm_of_an_odd_shape_is_one_error(value):
    with pytest.raises(UsageError, match="no input can be inferred from the first layer `0`"):
        guess(layer(lambda: nn.LayerNorm(5), "normalized_shape", value))


def test_a_layer_that_wants_gigabytes_is_named():
    with pytest.raises(UsageError, match=r"first layer `0` \(Linear\)") as caught:
        guess(layer(lambda: nn.Linear(5, 4), "in_features", 2**31 - 1))
    assert "2147483647" in caught.value.note
    assert "--input" in caught.value.hint


def test_of_several_sizes_one_that_is_not_too_large_is_taken():
    (tensor,) = guess(nn.Sequential(nn.Conv2d(2048, 500, 1), nn.AdaptiveAvgPool2d(1))).arguments
    assert tuple(tensor.shape) == (1, 2048, 32, 32)


def test_numbers_of_numpy_are_numbers():
    (tensor,) = guess(layer(lambda: nn.Linear(5, 4), "in_features", numpy.int64(5))).arguments
    assert tuple(tensor.shape) == (1, 5)


def test_a_lazy_layer_is_given_a_usual_number():
    (tensor,) = guess(nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d(), nn.Linear(4, 3))).arguments
    assert tuple(tensor.shape) == (2, 16)  # its batch norm is in train mode


@pytest.mark.parametrize("count", [-4, 10**30, "x", None])
def test_an_embedding_of_an_odd_size_is_guessed_all_the_same(count):
    (tensor,) = guess(layer(lambda: nn.Embedding(50, 3), "num_embeddings", count)).arguments
    assert (tensor.dtype, tuple(tensor.shape)) == (torch.int64, (1, 16))


@pytest.mark.parametrize("size", [(3, "x", None), (3, -1, 5), (3, 2.5, 5), "abc"])
def test_a_declared_size_that_is_none_does_not_count(size):
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    model.pretrained_cfg = {"input_size": size}
    assert tuple(guess(model).arguments[0].shape) == (1, 3, 32, 32)


def test_a_declared_size_of_gigabytes_is_one_error():
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    model.pretrained_cfg = {"input_size": (3, 10**6, 10**6)}
    with pytest.raises(UsageError, match="GiB of memory"):
        guess(model)
