"""Recurrent layers come back as they were, and with no other weights than their sizes say."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from gradflow.load.files.pickles.draft import DamagedError
from gradflow.load.files.pickles.recurrent import check_recurrent
from gradflow.load.files.saved_file import load_tensors


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_layers_of_every_form_come_back(tmp_path, kind):
    forms = itertools.product((1, 3), (True, False), (True, False), (0, 2) if kind is nn.LSTM else (0,))
    layers = [
        kind(3, 4, count, bias=bias, bidirectional=both, **({"proj_size": size} if size else {}))
        for count, bias, both, size in forms
    ]
    layers += [kind(3, 4).double()]
    assigned = kind(3, 4)
    assigned.load_state_dict(kind(3, 4).state_dict(), assign=True)
    torch.save(nn.ModuleList([*layers, assigned]), tmp_path / "m.pt")
    found = load_tensors(tmp_path / "m.pt")
    inputs = torch.ones(2, 1, 3)
    for one, other in zip([*layers, assigned], found, strict=True):
        assert torch.equal(one(inputs.to(one.weight_ih_l0.dtype))[0], other(inputs.to(one.weight_ih_l0.dtype))[0])


def short_weight(layer):
    layer._parameters["weight_hh_l0"] = nn.Parameter(torch.ones(4, 1))


def another_list(layer):
    layer._flat_weights = [nn.Parameter(torch.ones(1, 1)) for _ in layer._flat_weights]


def more_layers(layer):
    layer.num_layers = 10**12


def wider(layer):
    layer.hidden_size = 1000


@pytest.mark.parametrize("change", [short_weight, another_list, more_layers, wider])
def test_a_layer_with_other_weights_is_damaged(change):
    layer = nn.LSTM(3, 4)
    check_recurrent(layer)
    change(layer)
    with pytest.raises(DamagedError, match="the weights of a `LSTM`"):
        check_recurrent(layer)
