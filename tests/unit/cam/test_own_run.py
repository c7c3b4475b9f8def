"""What a map is made of: eval mode unless asked otherwise, and a gradient also where the model is frozen."""

from __future__ import annotations

import copy

import numpy
import pytest
import torch
from torch import nn

import gradflow
from gradflow.errors import UsageError


class Net(nn.Module):
    """Small, and with much that differs between the modes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.body = nn.Conv2d(8, 8, 3, 2, 1)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.drop(self.body(self.stem(x)).relu().mean((2, 3))))


class CutInEvalMode(Net):
    def forward(self, x):
        x = self.body(self.stem(x))
        x = x if self.training else x.detach()
        return self.head(self.drop(x.relu().mean((2, 3))))


def build(kind: type[Net] = Net) -> Net:
    torch.manual_seed(0)
    return kind()


def picture() -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def map_by_hand(model: nn.Module, x: torch.Tensor, target: int | None, layer: str = "body") -> numpy.ndarray:
    """Grad-CAM with `retain_grad` on a copy, without gradflow."""
    model, kept = copy.deepcopy(model), []
    model.requires_grad_(True)

    def keep(module, arguments, output) -> None:
        output.retain_grad()
        kept.append(output)

    model.get_submodule(layer).register_forward_hook(keep)
    scores = model(x)[0]
    (scores.max() if target is None else scores[target]).backward()
    (activation,) = kept
    return (activation.grad.mean((2, 3), keepdim=True) * activation).sum(1).relu().detach().numpy()


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


def said(report, word: str) -> list[str]:
    return [text for text in report.assumptions if word in text]


@pytest.mark.parametrize("target", [None, 3])
def test_the_map_of_a_model_in_train_mode_is_made_in_eval_mode(target):
    model = build().train()
    model.drop.eval()
    before = modes(model)
    report = gradflow.check(model, "body", inputs=picture(), target=target, cam=True)
    assert report.cam.saliency == pytest.approx(map_by_hand(copy.deepcopy(model).eval(), picture(), target), abs=1e-6)
    assert said(report, "eval mode")
    assert modes(model) == before
    assert report.environment.mode.startswith("mixed")


def test_a_mode_that_was_asked_for_is_kept():
    model = build().eval()
    model.drop.p = 0.0
    report = gradflow.check(model, "body", inputs=picture(), cam=True, mode="train")
    assert report.cam.saliency == pytest.approx(map_by_hand(copy.deepcopy(model).train(), picture(), None), abs=1e-6)
    assert not said(report, "map:")
    assert report.environment.mode == "train"
    assert modes(model) == [False] * len(modes(model))


def test_a_path_that_is_cut_in_eval_mode_gets_no_map():
    report = gradflow.check(build(CutInEvalMode).train(), "body", inputs=picture(), cam=True)
    assert (report.verdict, report.cam) == ("connected", None)
    assert "eval mode" in report.cam_refusal


def test_a_score_that_only_train_mode_has_keeps_the_report():
    class Auxiliary(Net):
        def forward(self, x):
            scores = super().forward(x)
            return {"logits": scores, "auxiliary": scores} if self.training else scores

    report = gradflow.check(build(Auxiliary).train(), "body", inputs=picture(), output="logits", cam=True)
    assert (report.verdict, report.cam) == ("connected", None)
    assert report.cam_refusal.startswith("in eval mode")


def test_a_frozen_model_gets_its_map_and_keeps_its_finding():
    model = build().eval().requires_grad_(False)
    x = picture()
    report = gradflow.check(model, "body", inputs=x, cam=True)
    assert report.cam.saliency == pytest.approx(map_by_hand(model, x, None), abs=1e-6)
    assert ([one.code for one in report.diagnostics], report.exit_code) == (["GF109"], 1)
    assert said(report, "requiring grad")
    assert not x.requires_grad
    assert not any(parameter.requires_grad for parameter in model.parameters())


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Embedding(10, 8)
        self.body = nn.Conv2d(8, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, ids):
        x = self.early(ids).movedim(-1, 1).reshape(-1, 8, 4, 4)
        return self.head(self.body(x).relu().mean((2, 3)))


def test_where_the_input_cannot_require_grad_one_parameter_does():
    torch.manual_seed(0)
    model, ids = Words().eval().requires_grad_(False), torch.randint(0, 10, (2, 16))
    report = gradflow.check(model, "body", inputs=ids, cam=True)
    assert report.cam.saliency == pytest.approx(map_by_hand(model, ids, None), abs=1e-6)
    assert said(report, "`early.weight`")
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_frozen_model_that_is_also_cut_gets_none():
    class Cut(Net):
        def forward(self, x):
            return self.head(self.body(self.stem(x)).detach().mean((2, 3)))

    report = gradflow.check(build(Cut).eval().requires_grad_(False), "body", inputs=picture(), cam=True)
    assert report.cam is None
    assert report.verdict == "broken"


def test_an_input_that_the_model_writes_to_is_left_alone_by_the_run_of_the_map():
    class Writes(Net):
        def forward(self, x):
            return super().forward(x.mul_(2))

    model, x = build(Writes).eval().requires_grad_(False), picture()
    report = gradflow.check(model, "body", inputs=x, cam=True)
    assert report.cam.saliency == pytest.approx(map_by_hand(model, picture(), None), abs=1e-6)
    assert torch.equal(x, picture())


def test_modes_are_put_back_when_the_model_raises():
    class Raises(Net):
        def forward(self, x):
            if not self.training:
                raise RuntimeError("not in eval mode")
            return super().forward(x)

    model = build(Raises).train()
    report = gradflow.check(model, "body", inputs=picture(), cam=True)
    assert "not in eval mode" in report.cam_refusal
    assert all(modes(model))
    with pytest.raises(gradflow.GradflowError):
        gradflow.check(model, "body", inputs=picture(), mode="eval")
    assert all(modes(model))


def test_a_layer_without_places_is_told_with_the_report():
    report = gradflow.check(build().eval(), ["body", "head"], inputs=picture(), cam=True)
    body, head = (report, *report.others)
    assert body.cam is not None
    assert head.cam is None
    assert "no spatial axes" in head.cam_refusal


def test_an_audit_can_be_asked_for_a_mode_too():
    model = build().train()
    assert gradflow.audit(model, inputs=picture(), mode="eval").environment.mode == "eval"
    assert all(modes(model))


def test_there_are_two_modes():
    with pytest.raises(UsageError, match="no mode `test`"):
        gradflow.check(build(), "body", inputs=picture(), mode="test")


def test_several_layers_of_a_frozen_model_get_the_maps_that_they_get_alone():
    torch.manual_seed(0)
    model, ids = Words().eval().requires_grad_(False), torch.randint(0, 10, (2, 16))
    together = gradflow.check(model, ["early", "body"], inputs=ids, cam=True)
    (body,) = [one for one in (together, *together.others) if one.target.name == "body"]
    alone = gradflow.check(model, "body", inputs=ids, cam=True)
    assert body.cam.saliency == pytest.approx(alone.cam.saliency)
    assert body.diagnostics == alone.diagnostics


class Twice(Net):
    """The body runs on two views of the picture; ``used`` tells which of the two results the score is made of."""

    used = (True, True)

    def forward(self, x):
        pooled = [self.body(self.stem(view)).relu().mean((2, 3)) for view in (x, x.flip(-1))]
        return self.head(sum(each for each, counts in zip(pooled, self.used, strict=True) if counts))


def map_of_call(model: nn.Module, x: torch.Tensor, number: int) -> numpy.ndarray:
    """Grad-CAM of one call by hand."""
    model, kept = copy.deepcopy(model), []
    model.body.register_forward_hook(lambda module, arguments, output: (output.retain_grad(), kept.append(output))[1])
    model(x)[0, 1].backward()
    activation = kept[number - 1]
    return (activation.grad.mean((2, 3), keepdim=True) * activation).sum(1).relu().detach().numpy()


@pytest.mark.parametrize(("used", "number"), [((True, True), 2), ((True, False), 1), ((False, True), 2)])
def test_a_layer_that_runs_twice_has_the_map_of_the_last_call_that_counts_and_says_so(used, number) -> None:
    model, x = build(Twice).eval(), picture()
    model.used = used
    report = gradflow.check(model, "body", inputs=x, target=1, cam=True)
    assert report.cam is not None
    numpy.testing.assert_allclose(report.cam.saliency, map_of_call(model, x, number), rtol=1e-4, atol=1e-7)
    assert any("2 times" in note and f"call {number}" in note for note in report.cam.notes)


def test_a_layer_that_runs_once_needs_no_such_note() -> None:
    report = gradflow.check(build().eval(), "body", inputs=picture(), target=1, cam=True)
    assert report.cam is not None
    assert not any("times" in note for note in report.cam.notes)
