from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import NamedTuple

import numpy
import pytest
import torch

from gradflow.errors import ScoreError, UsageError
from gradflow.load.scores.objective import make_objective


def scored(output, /, **options):
    return make_objective(**options).compute(output)


LOGITS = torch.tensor([[0.1, 0.9, 0.3], [5.0, 0.0, 0.0]])
MAPS = torch.arange(24.0).reshape(1, 2, 3, 4)


@dataclasses.dataclass
class Answer:
    hidden_states: torch.Tensor
    logits: torch.Tensor


class Aux(NamedTuple):
    logits: torch.Tensor
    aux_logits: torch.Tensor


@dataclasses.dataclass(slots=True)
class Slotted:
    zeroth: torch.Tensor
    hidden: torch.Tensor


@dataclasses.dataclass(slots=True)
class Further(Slotted):
    logits: torch.Tensor


class Hidden:
    def __init__(self, logits):
        self._logits = logits


class Distribution:
    def __init__(self, logits):
        self.logits = logits


@pytest.mark.parametrize(
    ("output", "value", "name", "index"),
    [
        (LOGITS, 0.9, "score[1]", 1),
        (torch.tensor(2.5), 2.5, "output", None),
        (torch.tensor([2.5, 9.0]), 2.5, "output[0]", None),
        (MAPS, 23.0, "largest entry of output[0], at (1, 2, 3)", None),
        ((LOGITS, MAPS), 0.9, "largest entry of output[0][0], index 1", 1),
        ({"aux": MAPS, "out": LOGITS}, 0.9, "largest entry of output['out'][0], index 1", 1),
        (Answer(MAPS, LOGITS), 0.9, "largest entry of output.logits[0], index 1", 1),
        (Aux(LOGITS, MAPS), 0.9, "largest entry of output.logits[0], index 1", 1),
        (Further(MAPS, MAPS, LOGITS), 0.9, "largest entry of output.logits[0], index 1", 1),
        (Slotted(LOGITS, MAPS), 0.9, "largest entry of output.zeroth[0], index 1", 1),
        ({"nested": [Slotted(LOGITS, MAPS)]}, 0.9, "largest entry of output['nested'][0].zeroth[0], index 1", 1),
        (Distribution(LOGITS), 0.9, "largest entry of output.logits[0], index 1", 1),
        ([torch.zeros(1, 2, 3, 3), torch.ones(1, 2, 3, 3)], 1.0, "largest entry of output[1][0], at (0, 0, 0)", None),
        ({"ids": torch.tensor([3]), "prob": LOGITS}, 0.9, "largest entry of output['prob'][0], index 1", 1),
        (
            [{"boxes": torch.ones(2, 4) * 50, "labels": torch.tensor([1, 2]), "scores": torch.tensor([0.7, 0.2])}],
            0.7,
            "output[0]['scores'][0]",
            None,
        ),
        (numpy.array([[1.0, 2.0]]), 2.0, "score[1]", 1),
        (0.25, 0.25, "output", None),
        (torch.tensor([[3 + 4j, 0j]]), 5.0, "largest entry of |output|[0], index 0", 0),
    ],
)
def test_the_largest_entry_of_the_first_sample(output, value, name, index):
    score, described, found = scored(output)
    assert float(score) == pytest.approx(value)
    assert (described, found) == (name, index)


@pytest.mark.parametrize(
    ("output", "target", "value", "name", "index"),
    [
        (LOGITS, 2, 0.3, "score[2]", 2),
        (LOGITS, "2", 0.3, "score[2]", 2),
        (LOGITS, "top1", 0.9, "score[1]", 1),
        (LOGITS, "top3", 0.1, "score[0]", 0),
        (MAPS, 1, 17.5, "mean of output[0, 1] over 3 x 4 positions", 1),
        (torch.arange(12.0).reshape(1, 3, 4), 2, 10.0, "output[0, -1, 2], the last position", 2),
        (torch.arange(4.0), 3, 3.0, "output[3]", 3),
        ({"logits": LOGITS}, 0, 0.1, "output['logits'][0, 0]", 0),
    ],
)
def test_a_class_of_the_first_sample(output, target, value, name, index):
    score, described, found = scored(output, target=target)
    assert float(score) == pytest.approx(value)
    assert (described, found) == (name, index)


def test_a_class_by_its_name():
    names = ("tabby cat", "Golden Retriever", "fox")
    assert scored(LOGITS, target="golden retriever", class_names=names)[2] == 1
    with pytest.raises(ScoreError, match="no class `golden retriver`") as caught:
        make_objective(target="golden retriver", class_names=names)
    assert "`Golden Retriever`" in caught.value.hint
    with pytest.raises(ScoreError, match="names of the model's classes are not known"):
        make_objective(target="fox")


@pytest.mark.parametrize(
    ("output", "target", "said"),
    [
        (LOGITS, 3, "classes go from 0 to 2"),
        (LOGITS, -1, "classes go from 0 to 2"),
        (LOGITS, "top4", "has 3 classes"),
        (MAPS, "top1", "one score per class"),
        (torch.tensor(1.0), 0, "a single number"),
        ([], None, "holds no tensor"),
        ("text", None, "holds no tensor"),
        (Slotted("text", None), None, "holds no tensor"),
        (Hidden(LOGITS), None, "keeps its tensors where none is chosen from"),
        ([{"boxes": torch.ones(0, 4), "scores": torch.ones(0)}], None, "has no entries"),
    ],
)
def test_what_gives_no_score_is_said(output, target, said):
    with pytest.raises(ScoreError, match=said):
        scored(output, target=target)


def test_the_score_stays_in_the_graph_also_through_structures():
    logits = LOGITS.clone().requires_grad_()
    for output in (logits, {"out": logits}, (logits, None), Answer(MAPS, logits)):
        (gradient,) = torch.autograd.grad(scored(output)[0], logits)
        assert torch.equal(gradient, torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))


def test_an_output_without_a_gradient_is_no_error():
    assert not scored(LOGITS)[0].requires_grad
    assert scored(torch.tensor([[4, 9]]))[0].dtype is torch.int64


def test_looking_for_the_largest_entry_is_not_seen_by_tracers():
    seen = []

    class Watching(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(func.__name__)
            return func(*args, **(kwargs or {}))

    with Watching():
        scored(LOGITS)
        scored(LOGITS, target="top2")
    assert not {"argmax", "argsort", "detach", "__int__", "item"} & set(seen)
    assert "__getitem__" in seen


def test_a_model_without_data_can_be_scored():
    score, described, index = scored(torch.ones(1, 5, device="meta"))
    assert (score.shape, described, index) == ((), "largest entry of output[0]", None)


@pytest.mark.parametrize(
    ("selector", "value"),
    [
        ("aux", 7.0),
        ("aux[0]", 7.0),
        ('["aux"][0]', 7.0),
        ("output['aux']", 7.0),
        ("rows.1", 4.0),
        ("rows[-1]", 4.0),
        ("answer.logits", 0.9),
        ("answer", 0.9),
    ],
)
def test_a_selector_picks_a_part(selector, value):
    output = {
        "logits": LOGITS * 100,
        "aux": [torch.tensor([[7.0]])],
        "rows": (torch.tensor([[3.0]]), torch.tensor([[4.0]])),
        "answer": Answer(MAPS, LOGITS),
    }
    assert float(scored(output, output=selector)[0]) == pytest.approx(value)


def test_a_selector_that_finds_nothing_lists_what_there_is():
    with pytest.raises(ScoreError, match="`output` has no `logit`") as caught:
        scored({"logits": LOGITS}, output="logit")
    assert "`logits`" in caught.value.note
    assert "`logits`" in caught.value.hint
    with pytest.raises(ScoreError, match=r"has no `4`"):
        scored((LOGITS,), output="4")


@pytest.mark.parametrize("selector", ["[", "a[b]", "a..b", "a b", "a()"])
def test_what_is_no_selector_is_a_usage_error(selector):
    with pytest.raises(UsageError, match="does not select"):
        make_objective(output=selector)


def test_target_and_score_contradict_each_other():
    with pytest.raises(UsageError, match="both say"):
        make_objective(target=1, score=lambda output: output.sum())


def a_score(output):
    if output is None:
        return None
    # é: columns count characters
    return "é" and output["out"].sum()


def test_the_users_function_gets_the_raw_output():
    score, described, index = scored({"out": LOGITS}, score=a_score)
    assert (float(score), described, index) == (pytest.approx(6.3), "a_score(output)", None)


def test_the_span_is_that_of_the_last_returned_expression():
    span = make_objective(score=a_score).span
    lines, start = inspect.getsourcelines(a_score)
    assert (span.path, span.line, span.function) == (__file__, start + len(lines) - 1, "a_score")
    assert lines[-1][span.column - 1 : span.end_column - 1] == '"é" and output["out"].sum()'


def test_the_span_of_a_lambda_is_its_body():
    span = make_objective(score=lambda output: output.sum()).span
    line = Path(__file__).read_text(encoding="utf-8").splitlines()[span.line - 1]
    assert line[span.column - 1 : span.end_column - 1] == "output.sum()"


def test_a_callable_without_source_has_no_span():
    assert make_objective(score=torch.sum).span is None


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda output: output, r"shape \[2, 3\], not one number"),
        (lambda output: None, "`None`; does it lack a `return`"),
        (lambda output: "high", "returned a `str`"),
        (lambda output: output["logits"], "the score function `score` raised"),
    ],
)
def test_a_score_function_that_gives_no_number_is_said(function, said):
    with pytest.raises(ScoreError, match=said):
        scored(LOGITS, score=function)


@pytest.mark.parametrize("function", [lambda out: out.sum().item(), lambda out: out.numpy().max(), lambda out: 3])
def test_a_plain_number_is_taken_as_it_is(function):
    score, described, _ = scored(LOGITS, score=function)
    assert score.numel() == 1
    assert not score.requires_grad
    assert "a plain number" in described


@pytest.mark.parametrize("target", ["9" * 5000, "-" + "9" * 5000, "top" + "9" * 5000])
def test_a_class_of_thousands_of_digits_is_one_error(target):
    with pytest.raises(ScoreError, match="is no class index"):
        make_objective(target=target)


@pytest.mark.parametrize("output", ["9" * 5000, f"[{'9' * 5000}]"])
def test_a_position_of_thousands_of_digits_is_a_usage_error(output):
    with pytest.raises(UsageError):
        make_objective(output=output)


def test_an_output_that_raises_when_asked_has_no_such_part():
    class Guarded:
        @property
        def logits(self):
            raise RuntimeError("closed")

        def __getitem__(self, position):
            raise ValueError("closed")

    for part in ("logits", "0"):
        with pytest.raises(ScoreError, match=f"has no `{part}`"):
            scored(Guarded(), output=part)
