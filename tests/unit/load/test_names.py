from __future__ import annotations

from gradflow.load.names import closest, did_you_mean

MODELS = ("resnet18", "resnet50", "resnet101", "vgg16", "swin_t", "convnext_tiny")


def test_the_best_match_comes_first():
    assert closest("resnet5O", MODELS)[0] == "resnet50"


def test_the_last_component_of_a_path_counts():
    assert closest("layer4.1.conv3", ["layer4.1.conv2", "fc"]) == ("layer4.1.conv2",)
    assert closest("./model/train.pyy", ["./model/train.py", "./model/readme"])[0] == "./model/train.py"


def test_a_name_that_contains_the_other_is_close():
    assert "convnext_tiny" in closest("convnext", MODELS)


def test_nothing_like_it_gives_no_suggestion():
    assert closest("zzzzzz", MODELS) == ()
    assert did_you_mean("zzzzzz", MODELS) == ""


def test_the_question_reads_as_english():
    assert did_you_mean("vgg61", ["vgg16"]) == "did you mean `vgg16`?"
    assert did_you_mean("resnet", ["resnet18", "resnet50"]) == "did you mean `resnet18` or `resnet50`?"


def test_a_name_of_thousands_of_letters_is_like_none() -> None:
    assert closest("resnet5", ["resnet50"]) == ("resnet50",)
    assert closest("resnet50" * 500, ["resnet50"]) == ()
