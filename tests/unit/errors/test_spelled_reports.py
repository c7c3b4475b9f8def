"""A report names options to who typed a command, and arguments to who called a function."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

import gradflow
from gradflow.audit_report import AuditReport
from gradflow.auditing import audit_workload
from gradflow.checking import check_workload
from gradflow.diagnose.diagnostic import Diagnostic, Help
from gradflow.load.loading import workload_from_objects
from gradflow.load.scores.loss import with_loss
from gradflow.report import Report
from gradflow.spelled import Spelled, each_way, in_python

PICTURE = torch.linspace(-1, 1, 3 * 8 * 8).reshape(1, 3, 8, 8)
ROW = torch.linspace(-1, 1, 6).reshape(2, 3)


class _Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).relu().mean((2, 3)))


class _TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> Any:
        return self.one(x), self.other(x)


class _Bypassed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.layer.weight)


class _TrainedOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.more = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.more(x) if self.training else self.body(x)


class _Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).masked_fill(torch.tensor([False, True]), float("-inf"))


def _dead() -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 40), nn.ReLU(), nn.Linear(40, 2))
    nn.init.constant_(model[0].bias[1:], -100)
    nn.init.constant_(model[0].bias[:1], 100)
    return model


def _norms_without_data() -> nn.Module:
    torch.manual_seed(0)
    layers = [module for _ in range(12) for module in (nn.Linear(8, 8), nn.BatchNorm1d(8))]
    model = nn.Sequential(nn.Linear(3, 8), *layers).eval()
    for module in model[1:]:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
    return model


def _check(model: nn.Module, inputs: Any, layer: str, *, is_typed: bool, **options: Any) -> Report:
    workload = replace(workload_from_objects(model, inputs), is_typed=is_typed)
    return check_workload(workload, [layer], **options)


def _audit(model: nn.Module, inputs: Any, *, is_typed: bool) -> AuditReport:
    return audit_workload(with_loss(replace(workload_from_objects(model, inputs), is_typed=is_typed)))


MADE: dict[str, tuple[Callable[..., Report | AuditReport], str, str]] = {
    "a layer was chosen": (lambda **how: _check(_Pooled(), PICTURE, "auto", **how), '`--layer "*"`', '`layer="*"`'),
    "a loss was made": (lambda **how: _audit(_Pooled(), PICTURE, **how), "`--loss`", "`loss`"),
    "the mode of a map": (
        lambda **how: _check(_Pooled(), PICTURE, "features", cam=True, **how),
        "`--train`",
        '`mode="train"`',
    ),
    "no map": (lambda **how: _check(_Pooled(), PICTURE, "head", cam=True, **how), "`gradflow layers`", "has height"),
    "another output": (lambda **how: _check(_TwoHeads(), ROW, "other", **how), "`--select`", "`output`"),
    "not called": (lambda **how: _check(_Bypassed(), ROW, "layer", **how), "`--param layer.w", "`parameter='layer.w"),
    "other samples": (
        lambda **how: _check(nn.Sequential(nn.Linear(3, 2)), ROW, "0", slice_="[1]", **how),
        "`--score`",
        "given as `score`",
    ),
    "trained in train mode": (lambda **how: _audit(_TrainedOnly().eval(), ROW, **how), "`--train`", '`mode="train"`'),
    "units that give zero": (lambda **how: _audit(_dead(), ROW, **how), "`--input`", "`inputs`"),
    "masked logits": (lambda **how: _audit(_Masked(), ROW, **how), "`--loss file.py:function`", "`loss=...`"),
    "norms without data": (lambda **how: _audit(_norms_without_data(), ROW, **how), "`--train`", '`mode="train"`'),
}


def _texts(report: Report | AuditReport) -> str:
    return json.dumps(report.to_json(), ensure_ascii=False).replace('\\"', '"') + re.sub(r"\s+", " ", str(report))


@pytest.mark.parametrize("what", MADE)
def test_a_function_names_arguments(what: str) -> None:
    make, _, called = MADE[what]
    said = _texts(make(is_typed=False))
    assert called in said
    assert not re.search(r"(?<![\w-])--[a-z]", said)
    assert "`gradflow layers" not in said


@pytest.mark.parametrize("what", MADE)
def test_a_command_names_options(what: str) -> None:
    make, typed, _ = MADE[what]
    assert typed in _texts(make(is_typed=True))


def test_the_public_functions_are_called_and_not_typed() -> None:
    assert '`layer="*"`' in str(gradflow.check(_Pooled(), inputs=PICTURE))
    assert "`loss`" in str(gradflow.audit(_Pooled(), inputs=PICTURE))


def test_findings_are_respelled_and_what_has_one_spelling_stays() -> None:
    plain = Help(text="remove it")
    found = Diagnostic(
        code="GF101",
        name="detach",
        severity="error",
        message="no gradient",
        helps=(Help(text=Spelled("use `--x`", in_python="use `x`")), plain),
    )
    told = in_python((found, "text"))
    assert told[0].helps[0].text == "use `x`"
    assert type(told[0].helps[0].text) is str
    assert told[0].helps[1] is plain
    assert replace(told[0], helps=found.helps) == found
    assert in_python(plain) is plain


def test_a_text_that_is_made_of_another_has_both_spellings() -> None:
    made = each_way(lambda why: f"because {why}", Spelled("`--x`", in_python="`x`"))
    assert (made, in_python(made)) == ("because `--x`", "because `x`")
    assert each_way(lambda why: f"because {why}", "so") == "because so"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda text: pickle.loads(pickle.dumps(text))])
def test_copies_keep_both_spellings(copied: Callable[[Spelled], Spelled]) -> None:
    made = copied(Spelled("`--x`", in_python="`x`"))
    assert (made, made.in_python) == ("`--x`", "`x`")
