from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gradflow.errors import LoadError
from gradflow.load.files.state_dict import load_weights
from gradflow.load.source import SourcedModel

PATH = Path("weights.pth")


def small():
    torch.manual_seed(0)
    return torch.nn.ModuleDict({"body": torch.nn.Linear(3, 4), "head": torch.nn.Linear(4, 2)})


def source(model=None):
    return SourcedModel(model=model or small(), name="net", assumptions=("weights: none, random",))


def other_weights():
    torch.manual_seed(1)
    return {name: torch.randn_like(tensor) for name, tensor in small().state_dict().items()}


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name,
        lambda name: f"module.{name}",
        lambda name: f"model.{name}",
        lambda name: f"_orig_mod.{name}",
        lambda name: f"module._orig_mod.{name}",
        lambda name: f"_orig_mod.module.model.{name}",
        lambda name: name.replace("head.", "head._orig_mod."),
    ],
)
def test_prefixes_of_wrappers_are_taken_off(rename):
    weights = other_weights()
    loaded = load_weights(source(), {rename(name): tensor for name, tensor in weights.items()}, PATH)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in loaded.model.state_dict().items())
    assert not any("not in" in text or "random" in text for text in loaded.assumptions)


def test_prefixes_are_put_on_for_a_wrapped_model():
    wrapped = torch.nn.ModuleDict({"module": small()})
    weights = other_weights()
    loaded = load_weights(source(wrapped), weights, PATH)
    assert torch.equal(loaded.model["module"]["head"].weight, weights["head.weight"])
    assert any("prefix `module.` put on" in text for text in loaded.assumptions)


def test_missing_and_left_over_names_are_said():
    weights = other_weights()
    del weights["head.bias"]
    weights["aux.weight"] = torch.ones(1)
    said = " | ".join(load_weights(source(), weights, PATH).assumptions)
    assert "not in the file, left as built: `head.bias`" in said
    assert "in the file but not in the model, left out: `aux.weight`" in said


def test_weights_of_another_model_are_refused():
    with pytest.raises(LoadError, match="not one name fits") as caught:
        load_weights(source(), {"encoder.layers.0": torch.ones(1)}, PATH)
    assert "`encoder.layers.0`" in caught.value.note
    assert "`body.weight`" in caught.value.note


def test_other_shapes_are_refused_with_both_shapes():
    weights = other_weights() | {"head.weight": torch.ones(10, 4), "head.bias": torch.ones(10)}
    with pytest.raises(LoadError, match="other shapes") as caught:
        load_weights(source(), weights, PATH)
    assert "`head.weight` is [10, 4] in the file, [2, 4] in the model" in caught.value.note
    assert caught.value.hint == "build it as it was trained: with 10 instead of 2, perhaps by `--model-arg NAME=10`"


@pytest.mark.parametrize(
    "others",
    [
        {"head.weight": torch.ones(10, 5)},  # two sizes differ
        {"head.weight": torch.ones(10, 4), "head.bias": torch.ones(7)},
        {"head.bias": torch.ones(2, 2)},  # another number of dimensions
    ],
)
def test_no_size_is_proposed_where_several_differ(others):
    with pytest.raises(LoadError, match="other shapes") as caught:
        load_weights(source(), other_weights() | others, PATH)
    assert caught.value.hint == "build it as it was trained: arguments go with `--model-arg NAME=VALUE`"


def test_tied_weights_need_one_of_their_names():
    tied = torch.nn.ModuleDict({"body": torch.nn.Embedding(5, 4), "head": torch.nn.Linear(4, 5, bias=False)})
    tied["head"].weight = tied["body"].weight
    weights = {"body.weight": torch.ones(5, 4)}
    loaded = load_weights(source(tied), weights, PATH)
    assert not any("left as built" in text for text in loaded.assumptions)
    assert torch.equal(loaded.model["head"].weight, weights["body.weight"])
    apart = torch.nn.ModuleDict({"body": torch.nn.Embedding(5, 4), "head": torch.nn.Linear(4, 5, bias=False)})
    said = load_weights(source(apart), weights, PATH).assumptions
    assert "not in the file, left as built: `head.weight`" in said
