"""Of each parameter without a usable gradient an audit tells the cause, or says that it is not determined, and why."""

from __future__ import annotations

import io
import itertools

import pytest
import torch
from torch import Tensor, nn

import gradflow
from gradflow.diagnose.diagnostic import Diagnostic
from gradflow.diagnose.untold.left_open import left_open
from gradflow.probe.audit_evidence import GroupCause, GroupKind, OpenQuestion, ParameterGroup

KINDS: tuple[GroupKind, ...] = (
    "module not called", "never read", "cut", "discarded", "lost", "zero", "not finite", "error",
)  # fmt: skip
STATES = {"a.weight": "none", "a.bias": "none", "b.weight": "zero", "c.weight": "not finite", "d.weight": "gradient"}
LACKING = {name for name, state in STATES.items() if state != "gradient"}


def hiding(*names: str) -> Diagnostic:
    return Diagnostic(code="GF101", name="detach", severity="error", message="told", hides=names)


def cause(kind: GroupKind, *names: str) -> GroupCause:
    return GroupCause(group=ParameterGroup(kind=kind, members=names, subject=names[0]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_cause_without_a_finding_is_not_determined(kind: GroupKind) -> None:
    (sentence,) = left_open({"a.weight": "none", "a.bias": "none"}, (), (), (cause(kind, "a.weight", "a.bias"),))
    assert sentence == (
        "why `a.weight` and 1 more parameter get no gradient, because none of the causes that gradflow knows fits"
    )


@pytest.mark.parametrize("told", [set(some) for n in range(5) for some in itertools.combinations(sorted(LACKING), n)])
def test_there_is_always_one_of_the_two(told: set[str]) -> None:
    by_finding, by_question = set(sorted(told)[::2]), set(sorted(told)[1::2])
    questions = (OpenQuestion(text="why, because", names=tuple(by_question)), OpenQuestion(text="something else"))
    sentences = left_open(STATES, (hiding(*by_finding), hiding("d.weight")), questions, ())
    assert all(", because " in sentence for sentence in sentences)
    # each sentence speaks of one way in which a gradient lacks, and names the first and the number of the others
    left = [name for name in STATES if name in LACKING - told]
    expected = list(dict.fromkeys(STATES[name] for name in left))
    assert len(sentences) == len(expected)
    for sentence, state in zip(sentences, expected, strict=True):
        names = [name for name in left if STATES[name] == state]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        assert sentence.startswith(f"why `{names[0]}`{more}")


class ThroughAFile(nn.Module):
    """What it computes is written and read again, and no operation brings it back."""

    def __init__(self, is_cut: bool) -> None:
        super().__init__()
        self.first, self.second, self.is_cut = nn.Linear(4, 4), nn.Linear(4, 2), is_cut

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        if self.is_cut:
            file = io.BytesIO()
            torch.save(h.detach(), file)
            file.seek(0)
            h = torch.load(file)
        return self.second(h)


@pytest.mark.parametrize("is_cut", [True, False])
def test_an_audit_leaves_no_parameter_unexplained(is_cut: bool) -> None:
    report = gradflow.audit(ThroughAFile(is_cut), inputs=torch.randn(3, 4))
    assert report.unused == (("first.weight", "first.bias") if is_cut else ())
    assert not report.diagnostics
    told = ("why `first.weight` and 1 more parameter get no gradient, because no recorded operation brings",)
    assert [text[: len(told[0])] for text in report.undetermined] == list(told if is_cut else ())
