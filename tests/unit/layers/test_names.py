"""What a user types for a layer becomes the qualified names that are meant."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import nn

import gradflow
from gradflow.errors import LayerNotFoundError, UsageError
from gradflow.layers.names import module_named, names_given, resolve_layers, resolve_parameters


def make_block() -> nn.Module:
    block = nn.Sequential()
    block.conv1 = nn.Conv2d(1, 1, 1)
    block.conv2 = nn.Conv2d(1, 1, 1)
    block.norm = nn.BatchNorm2d(1)
    return block


@pytest.fixture
def model() -> nn.Module:
    model = nn.Module()
    model.stem = nn.Conv2d(1, 1, 1)
    model.layer1 = nn.Sequential(make_block(), make_block())
    model.layer2 = nn.Sequential(make_block(), make_block())
    model.fc = nn.Linear(1, 1)
    return model


def wrapped(model: nn.Module, name: str) -> nn.Module:
    wrapper = nn.Module()
    wrapper.add_module(name, model)
    return wrapper


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("layer2.1.conv2", "layer2.1.conv2"),
        ("layer2[1].conv2", "layer2.1.conv2"),
        ("layer2[-1].conv2", "layer2.1.conv2"),
        ("layer2[-2]", "layer2.0"),
        ("model.layer2[-1].conv1", "layer2.1.conv1"),
        ("self.fc", "fc"),
        ("module.layer1.0", "layer1.0"),
        ("_orig_mod.module.layer1.0", "layer1.0"),
        ("", ""),
    ],
)
def test_a_name_is_understood_as_written(model: nn.Module, typed: str, meant: str) -> None:
    assert resolve_layers(model, [typed]) == (meant,)


@pytest.mark.parametrize("prefix", ["module", "_orig_mod"])
def test_the_prefix_of_a_wrapper_may_be_left_out(model: nn.Module, prefix: str) -> None:
    wrapper = wrapped(model, prefix)
    assert resolve_layers(wrapper, ["layer2.1.conv2"]) == (f"{prefix}.layer2.1.conv2",)
    assert resolve_layers(wrapper, ["layer2[-1]"]) == (f"{prefix}.layer2.1",)
    assert resolve_layers(wrapper, ["layer?.0"]) == (f"{prefix}.layer1.0", f"{prefix}.layer2.0")
    assert resolve_parameters(wrapper, ["fc.weight"]) == (f"{prefix}.fc.weight",)


def test_a_wrapper_in_the_middle_may_be_left_out(model: nn.Module) -> None:
    model.layer2 = wrapped(model.get_submodule("layer2"), "_orig_mod")
    assert resolve_layers(model, ["layer2.1.conv2"]) == ("layer2._orig_mod.1.conv2",)
    assert resolve_layers(model, ["layer2"]) == ("layer2",)


def test_a_real_module_called_module_is_found_by_its_own_name(model: nn.Module) -> None:
    model.module = nn.Linear(1, 1)
    assert resolve_layers(model, ["module"]) == ("module",)


def test_globs_match_in_the_order_of_the_model_and_once(model: nn.Module) -> None:
    expected = ("layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "layer1.1.conv2")
    assert resolve_layers(model, ["layer1*conv?", "layer1.0.conv2"]) == expected
    assert resolve_layers(model, ["layer[12]"]) == ("layer1", "layer2")
    assert "" not in resolve_layers(model, ["*"])


def test_several_names_keep_the_order_asked_for(model: nn.Module) -> None:
    assert resolve_layers(model, ["fc", "stem"]) == ("fc", "stem")


def test_a_shared_module_is_found_by_each_of_its_names(model: nn.Module) -> None:
    model.head = model.fc
    assert resolve_layers(model, ["head"]) == ("head",)


def test_a_wrong_index_names_what_there_is(model: nn.Module) -> None:
    with pytest.raises(LayerNotFoundError) as caught:
        resolve_layers(model, ["layer2.2.conv1"], model_name="resnet18")
    assert caught.value.message == "the model has no layer `layer2.2.conv1`"
    assert "`layer2` has no `2`, it has `0`, `1`" in caught.value.note
    assert "`layer2.1.conv1`" in caught.value.note
    assert caught.value.hint == "`gradflow layers resnet18` lists all layers"


@pytest.mark.parametrize(("typed", "closest"), [("layer22", "`layer2`"), ("conv2", "`layer1.0.conv2`")])
def test_a_mistyped_name_names_the_closest(model: nn.Module, typed: str, closest: str) -> None:
    with pytest.raises(LayerNotFoundError) as caught:
        resolve_layers(model, [typed])
    assert closest in caught.value.note


def test_an_index_beyond_the_end_is_not_found(model: nn.Module) -> None:
    with pytest.raises(LayerNotFoundError):
        resolve_layers(model, ["layer2[-3]"])


def test_a_glob_without_match_says_so(model: nn.Module) -> None:
    with pytest.raises(LayerNotFoundError, match="no layer matches `layer9"):
        resolve_layers(model, ["layer9.*"])


def test_a_parameter_asked_as_a_layer_is_told(model: nn.Module) -> None:
    with pytest.raises(LayerNotFoundError, match=r"is a parameter: ask for it with `parameter='fc\.weight'`"):
        resolve_layers(model, ["fc.weight"])


def test_parameters_and_buffers_are_found(model: nn.Module) -> None:
    assert resolve_parameters(model, ["layer1[0].norm.weight"]) == ("layer1.0.norm.weight",)
    assert resolve_parameters(model, ["layer1.0.norm.running_*"]) == (
        "layer1.0.norm.running_mean",
        "layer1.0.norm.running_var",
    )


def test_a_layer_asked_as_a_parameter_is_told_with_its_parameters(model: nn.Module) -> None:
    with pytest.raises(LayerNotFoundError) as caught:
        resolve_parameters(model, ["fc"])
    assert caught.value.hint == "`fc` is a layer with `fc.weight`, `fc.bias`: use `--layer fc`"


def test_a_negative_index_into_a_list_of_parameters() -> None:
    model = nn.Module()
    model.tokens = nn.ParameterList([nn.Parameter(torch.zeros(1)), nn.Parameter(torch.ones(1))])
    assert resolve_parameters(model, ["tokens[-1]"]) == ("tokens.1",)


def test_an_index_of_many_digits_matches_nothing(model: nn.Module) -> None:
    with pytest.raises(LayerNotFoundError):
        resolve_layers(model, [f"layer1[{'9' * 5000}]"])


def test_a_registered_module_is_found_beside_an_attribute_of_its_name() -> None:
    class Cut(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).detach()

    model = Cut(nn.Linear(3, 3), nn.Tanh())
    vars(model)["0"] = "something else"
    assert module_named(model, "0") is model[0]
    assert gradflow.check(model, "0", inputs=torch.ones(2, 3)).verdict == "broken"
    with pytest.raises(AttributeError, match=r"no module `0\.1` is registered"):
        module_named(model, "0.1")


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_layers_of_torchscript_are_answered_in_plain_words() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2)))  # type: ignore[no-untyped-call]
    assert isinstance(module_named(scripted, "0"), torch.jit.ScriptModule)
    for layer in ("0", "*", "auto", "", "nothing"):
        with pytest.raises(UsageError, match="the layers inside this model cannot be seen") as caught:
            gradflow.check(scripted, layer, inputs=torch.ones(2, 3))
        assert caught.value.hint == "ask for a parameter instead, such as `--param 0.weight`"
    assert gradflow.check(scripted, parameter="0.weight", inputs=torch.ones(2, 3)).connected


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_of_a_parameter_inside_torchscript_nothing_is_claimed() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x).detach())

    audit = gradflow.audit(torch.jit.script(Cut()), inputs=torch.ones(2, 3))  # type: ignore[no-untyped-call]
    (found,) = [one for one in audit.diagnostics if one.severity == "error"]
    assert found.hides == ("a.weight", "a.bias")
    assert "never ran" not in found.message


class Towers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.heads = nn.ModuleDict({"main": nn.Linear(4, 2)})


def test_a_glob_leaves_out_what_only_holds_layers() -> None:
    assert resolve_layers(Towers(), ["*"]) == ("blocks.0", "blocks.1", "heads.main")


def test_what_only_holds_layers_is_found_by_its_own_name() -> None:
    assert resolve_layers(Towers(), ["blocks"]) == ("blocks",)


def test_a_glob_that_matches_nothing_but_a_container_says_what_to_ask_for() -> None:
    with pytest.raises(LayerNotFoundError) as caught:
        resolve_layers(Towers(), ["block?"])
    assert (
        caught.value.hint
        == "`blocks` only holds other layers and never runs itself: ask for those with `--layer 'blocks.*'`"
    )


class Sampled(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.means = torch.nn.ParameterDict({"weight": torch.nn.Parameter(torch.zeros(2))})
        self.spare = torch.nn.ModuleList()


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("mean?", "`means` only holds parameters and never runs itself: ask for those with `--param 'means.*'`"),
        ("spar?", "`spare` never runs itself, and holds no layer that does"),
    ],
)
def test_a_container_of_other_things_is_not_said_to_hold_layers(pattern: str, hint: str) -> None:
    with pytest.raises(LayerNotFoundError) as caught:
        resolve_layers(Sampled(), [pattern])
    assert caught.value.hint == hint


@pytest.mark.parametrize("given", [torch.ones(2), [torch.ones(2)], nn.Linear(1, 1), nn.Sequential(nn.ReLU()), None])
@pytest.mark.parametrize("argument", ["layer", "parameter"])
def test_what_is_no_name_is_told(given: object, argument: Literal["layer", "parameter"]) -> None:
    with pytest.raises(UsageError, match=f"`{argument}` takes qualified names"):
        names_given(given, argument)


@pytest.mark.parametrize("given", ["fc", ("fc",), (name for name in ["fc"])])
def test_one_name_and_several_are_taken(given: object) -> None:
    assert names_given(given, "layer") == ["fc"]
