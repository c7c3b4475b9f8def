"""Models by name: torchvision and timm, also where they are missing or broken."""

from __future__ import annotations

import sys

import numpy
import pytest
import torch
from PIL import Image

from gradflow.errors import LoadError, UsageError
from gradflow.load.loading import load_workload
from gradflow.load.request import Request

USER_FILE = "import torch\ndef build():\n    return torch.nn.Linear(3, 2)\n"


def load(model, **options):
    return load_workload(Request(model=model, **options))


def without_package(monkeypatch, name):
    """Importing ``name`` fails as if it were not installed."""
    for module in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)


def broken_package(monkeypatch, folder, name, text):
    without_package(monkeypatch, name)
    monkeypatch.delitem(sys.modules, name)
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))


@pytest.fixture
def torchvision():
    return pytest.importorskip("torchvision")


@pytest.mark.parametrize("name", ["squeezenet1_1", "torchvision:squeezenet1_1"])
def test_a_torchvision_name_builds_it_in_eval_mode_and_says_what_was_chosen(torchvision, name):
    workload = load(name, input_shapes=("1,3,64,64",))
    assert not workload.model.training
    assert workload.model_name == "squeezenet1_1"
    said = " | ".join(workload.assumptions)
    assert "weights: none, random initialisation" in said
    assert "mode: eval" in said


def test_train_keeps_the_model_in_train_mode(torchvision):
    assert load("squeezenet1_1", mode="train", input_shapes=("1,3,64,64",)).model.training


def test_an_unknown_name_gets_the_closest(torchvision):
    with pytest.raises(LoadError, match="no model `squeezenet1`") as caught:
        load("squeezenet1")
    assert "`squeezenet1_1`" in caught.value.hint


def test_unknown_weights_list_those_there_are(torchvision):
    with pytest.raises(LoadError, match="no weights `IMAGENET`") as caught:
        load("squeezenet1_1", weights="IMAGENET")
    assert "`IMAGENET1K_V1`" in caught.value.note


def test_arguments_reach_the_builder_and_wrong_ones_are_said(torchvision):
    workload = load("squeezenet1_1", model_args=(("num_classes", "7"),), input_shapes=("1,3,64,64",))
    assert workload.model(*workload.inputs).shape == (1, 7)
    with pytest.raises(LoadError, match="could not build"):
        load("squeezenet1_1", model_args=(("depth", "7"),))


def test_trained_weights_bring_class_names_and_their_transform(torchvision, monkeypatch, tmp_path):
    from torchvision.models import SqueezeNet1_1_Weights

    weights = SqueezeNet1_1_Weights.DEFAULT
    state = torchvision.models.squeezenet1_1().state_dict()
    monkeypatch.setattr(type(weights), "get_state_dict", lambda *_args, **_kwargs: state)
    Image.fromarray(numpy.full((300, 300, 3), 200, dtype=numpy.uint8)).save(tmp_path / "photo.jpg")
    workload = load("squeezenet1_1", weights="DEFAULT", target="goldfish", image=str(tmp_path / "photo.jpg"))
    assert workload.class_names[1] == "goldfish"
    assert workload.objective.compute(workload.model(*workload.inputs))[1:] == ("score[1]", 1)
    assert abs(int(workload.image[0, 0, 0]) - 200) <= 2
    assert "SqueezeNet1_1_Weights" in workload.input_description
    assert not any("ImageNet" in text for text in workload.assumptions)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("inception_v3", [(1, 3, 299, 299)]), ("r3d_18", [(1, 3, 16, 112, 112)]), ("raft_small", [(1, 3, 128, 128)] * 2)],
)
def test_the_inferred_input_is_what_the_kind_of_model_takes(torchvision, name, shape):
    assert [tuple(value.shape) for value in load(name).inputs] == shape


def test_a_detection_model_takes_a_list_and_finds_something_also_at_random(torchvision):
    workload = load("ssdlite320_mobilenet_v3_large")
    assert [type(value) for value in workload.inputs] == [list]
    score, name, _ = workload.objective.compute(workload.model(*workload.inputs))
    assert name == "output[0]['scores'][0]"
    assert score.requires_grad


def test_timm_models_have_their_own_size():
    pytest.importorskip("timm")
    workload = load("timm:mobilevit_xxs")
    assert workload.inputs[0].shape == (1, 3, 256, 256)
    with pytest.raises(LoadError, match="timm has no model"):
        load("timm:mobilevitt_xxs")


def test_a_missing_timm_gives_the_install_line(monkeypatch):
    without_package(monkeypatch, "timm")
    with pytest.raises(LoadError, match="not installed") as caught:
        load("timm:resnet18")
    assert 'pip install "gradflow-torch[timm]"' in caught.value.hint


def test_a_missing_torchvision_is_one_clear_sentence(monkeypatch):
    without_package(monkeypatch, "torchvision")
    with pytest.raises(LoadError, match="torchvision is not installed"):
        load("resnet18")


@pytest.mark.parametrize(
    "text", ["raise RuntimeError('operator torchvision::nms does not exist')", "import no_such_native_part"]
)
def test_a_broken_torchvision_is_one_clear_sentence(monkeypatch, tmp_path, text):
    broken_package(monkeypatch, tmp_path, "torchvision", text)
    with pytest.raises(LoadError, match="installed but cannot be imported"):
        load("resnet18")


def test_the_users_own_model_needs_no_torchvision(monkeypatch, tmp_path):
    without_package(monkeypatch, "torchvision")
    without_package(monkeypatch, "timm")
    (tmp_path / "userplain.py").write_text(USER_FILE)
    Image.fromarray(numpy.zeros((30, 30, 3), dtype=numpy.uint8)).save(tmp_path / "photo.png")
    reference = f"{tmp_path}/userplain.py:build"
    assert load(reference).model(*load(reference).inputs).shape == (1, 2)
    assert load(reference, image=str(tmp_path / "photo.png")).image.shape == (224, 224, 3)
    torch.save(torch.nn.Linear(3, 2), tmp_path / "model.pt")
    assert isinstance(load(str(tmp_path / "model.pt")).model, torch.nn.Linear)
    sys.modules.pop("userplain", None)


@pytest.mark.parametrize("name", ["", "some words", "no/such/file", "nofile.pt"])
def test_a_name_of_nothing_is_one_clear_error(name):
    with pytest.raises((LoadError, UsageError)):
        load(name)


def test_options_for_other_kinds_of_model_are_usage_errors(tmp_path):
    (tmp_path / "userplain.py").write_text(USER_FILE)
    torch.save(torch.nn.Linear(3, 2), tmp_path / "model.pt")
    reference = f"{tmp_path}/userplain.py:build"
    for options in (
        {"model": reference, "weights": "DEFAULT"},
        {"model": reference, "arch": "resnet18"},
        {"model": str(tmp_path / "model.pt"), "weights": "DEFAULT"},
        {"model": str(tmp_path / "model.pt"), "model_args": (("a", "1"),)},
        {"model": str(tmp_path / "model.pt"), "arch": str(tmp_path / "model.pt")},
    ):
        with pytest.raises(UsageError):
            load_workload(Request(**options))
