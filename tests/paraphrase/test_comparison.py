"""What counts as a paraphrase, and what counts as the same answer: positives, and near misses of each."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("libcst")
pytest.importorskip("torch")

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.forked import ForkedError, call_forked
from tests.paraphrase.answer import Answer, Finding, Place, read_answer
from tests.paraphrase.comparison import Comparison
from tests.paraphrase.counted import fewer
from tests.paraphrase.known import balance
from tests.paraphrase.oracle import Facts, plain_facts
from tests.paraphrase.program import Program, Question
from tests.paraphrase.sweep import sample

# a worker of pytest-xdist has threads of its own, of which nothing is needed after a fork
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

CUT = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(3, 3)

    def forward(self, x):
        return self.body(x).tanh().detach()

def build():
    torch.manual_seed(0)
    return Net()

def example_input():
    return torch.ones(1, 3)
"""
PROGRAM = Program(name="cut", text=CUT, question=Question(kind="model", layer="body"))
SCRIPT = """
import torch
w = torch.ones(3, requires_grad=True)
loss = (w * 2).sum()
loss.backward()
print(loss.item())
"""


@pytest.fixture(scope="module")
def clean() -> Iterator[Executor]:
    """A process that no test has run in: torch refuses a backward in a fork of one that has autograd's threads."""
    server = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(1, mp_context=server) as executor:
        yield executor


@pytest.fixture
def facts(clean: Executor, tmp_path: Path) -> Callable[[Program], Facts]:
    def ask(program: Program) -> Facts:
        program.write(tmp_path)
        return clean.submit(call_forked, plain_facts, program, tmp_path, folder=tmp_path, seconds=60).result()

    return ask


@pytest.mark.parametrize(
    ("old", "new", "stays"),
    [
        ("tanh().detach()", "tanh().data", True),
        (".tanh()", ".mul(1).tanh()", True),
        (".detach()", "", False),
        (".tanh()", ".relu()", False),
        ("return self", "raise ValueError; return self", False),
    ],
)
def test_a_model_is_kept_where_values_and_gradients_are(
    old: str, new: str, stays: bool, facts: Callable[[Program], Facts]
) -> None:
    other = replace(PROGRAM, text=CUT.replace(old, new))
    assert facts(PROGRAM).agree(facts(other)) is stays


@pytest.mark.parametrize(
    ("old", "new", "stays"),
    [
        ("w * 2", "2 * w", True),
        ("w * 2", "w.detach() * 2 + w * 0", False),  # the same value, another gradient
        ("loss.backward()", "torch.autograd.grad(loss, w)", False),  # nothing is left in `.grad`
        ("print(loss.item())", "print(loss.item() + 1)", False),
    ],
)
def test_a_script_is_kept_where_prints_and_gradients_are(
    old: str, new: str, stays: bool, facts: Callable[[Program], Facts]
) -> None:
    one = Program(name="script", text=SCRIPT, question=Question(kind="script"))
    assert facts(one).agree(facts(replace(one, text=SCRIPT.replace(old, new)))) is stays


def test_added_parameters_may_come_to_the_old_ones() -> None:
    before, after = Facts(leaves=[1.0, None]), Facts(leaves=[None, 5.0, 1.0])
    assert before.agree(after, may_have_more_leaves=True)
    assert not before.agree(after)
    assert not Facts(leaves=[2.0]).agree(after, may_have_more_leaves=True)


def finding(name: str = "detach", *lines: int, severity: str = "error") -> Finding:
    return Finding(severity, name, Place("the program", frozenset(lines)))


def answer(verdict: str, *findings: Finding) -> Answer:
    return Answer(verdict, findings[0] if findings else None, findings)


BEFORE = answer("broken", finding("detach", 4))


@pytest.mark.parametrize(
    ("after", "agrees"),
    [
        (answer("broken", finding("detach", 4)), True),
        (answer("broken", finding("detach", 3, 4)), True),  # the line stands for several
        (answer("broken", finding("detach", 5)), False),
        (answer("broken", finding("detach")), False),  # a line that stands for none
        (answer("broken", finding("no-grad", 4)), False),
        (answer("broken", finding("detach", 4, severity="warning")), False),
        (answer("broken", finding("detach", 4), finding("argmax", 6)), False),
        (answer("zero", finding("detach", 4)), False),
        (answer("broken"), False),
    ],
)
def test_an_answer_is_verdict_cause_and_line(after: Answer, agrees: bool) -> None:
    assert BEFORE.agrees(after) is agrees


def test_lines_of_a_report_are_those_of_the_program(tmp_path: Path) -> None:
    other = replace(PROGRAM, line_maps={"parts.py": {2: frozenset({11})}})
    location = {"path": str(tmp_path / "parts.py"), "line": 2}
    report = {"verdict": "broken", "diagnostics": [{"severity": "error", "name": "detach", "location": location}]}
    assert read_answer(report, other, tmp_path).agrees(answer("broken", finding("detach", 11)))


def test_what_is_listed_may_differ_and_nothing_else() -> None:
    def came(program: str, outcome: str) -> Comparison:
        return Comparison(program=program, transform="rename", outcome=outcome)  # type: ignore[arg-type]

    found = balance(
        [came("a", "differs"), came("b", "same"), came("c", "differs"), came("d", "another program")],
        {"a rename", "b rename"},
    )
    assert [each.program for each in found.new] == ["c"]
    assert found.mended == ("b rename",)


def test_fewer_paraphrases_than_there_were_are_told() -> None:
    results = [
        Comparison(program=name, transform="rename", outcome=outcome)  # type: ignore[arg-type]
        for name, outcome in [("a", "same"), ("b", "differs"), ("c", "another program"), ("d", "nothing to change")]
    ]
    assert fewer(results, {"rename": 2}) == []
    assert fewer(results, {"rename": 3}) == ["rename: 2 paraphrases count, 3 did"]


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    every = [(PROGRAM, str(number)) for number in range(100)]
    assert sample(every, 10, "one") == sample(every, 10, "one") != sample(every, 10, "two")
    assert sample(every, 200, "one") == every


def test_a_process_that_dies_is_told(tmp_path: Path) -> None:
    with pytest.raises(ForkedError, match="ValueError: midway"):
        call_forked(fail, folder=tmp_path, seconds=60)


def fail() -> None:
    raise ValueError("midway")
