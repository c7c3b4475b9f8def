"""Each transformation on a few lines: what it makes of them, what it leaves alone, and which line comes from which."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

pytest.importorskip("libcst")
pytest.importorskip("torch")

import libcst as cst

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.paraphrase.marks import mark_lines, read_marks
from tests.paraphrase.paraphrasing import paraphrase
from tests.paraphrase.program import Program, Question
from tests.paraphrase.transforms.code import Seen, Source
from tests.paraphrase.transforms.registry import TRANSFORMS


def written(text: str) -> str:
    return textwrap.dedent(text).strip("\n") + "\n"


def changed(
    transform: str, text: str, *, kind: str = "script"
) -> tuple[str, dict[int, frozenset[int]], dict[str, str]] | None:
    """The text after a transformation that takes every value for a tensor of two dimensions, its lines and helpers."""

    (step,) = TRANSFORMS[transform]
    question = Question(kind=kind, layer="body")  # type: ignore[arg-type]
    change = step(Source(module=cst.parse_module(mark_lines(written(text))), question=question, see=all_tensors))
    if change is None:
        return None
    after, lines = read_marks(change.module.code)
    return after, dict(lines), {name: read_marks(each.code)[0] for name, each in change.helpers.items()}


def all_tensors(_: cst.Module) -> Mapping[int, Seen]:
    return {number: Seen(is_tensor=True, dimensions=2) for number in range(100)}


MADE = [
    pytest.param(
        "function_to_lambda",
        """
        def double(x):
            "Twice."
            return 2 * x
        """,
        "double = lambda x: (2 * x)\n",
        {1: {1, 2, 3}},
        id="a function of one expression",
    ),
    pytest.param(
        "lambda_to_function",
        """
        import torch
        hook = layer.register(lambda m, i, o: o.detach())
        """,
        """
        import torch
        def made_1(m, i, o):
            return o.detach()
        hook = layer.register(made_1)
        """,
        {1: {1}, 3: {2}, 4: {2}},
        id="a lambda as an argument",
    ),
    pytest.param(
        "split_helper",
        """
        def f(x):
            y = x.detach() * 2
            return y
        """,
        """
        def part_1(x):
            return x.detach() * 2
        def f(x):
            y = part_1(x)
            return y
        """,
        {2: {2}, 3: {1}, 4: {2}, 5: {3}},
        id="a right-hand side",
    ),
    pytest.param(
        "inline_helper",
        """
        def cut(x):
            y = x.detach()
            return y + 1

        z = cut(w)
        """,
        """
        def cut(x):
            y = x.detach()
            return y + 1
        inlined_1 = w
        inlined_2 = inlined_1.detach()

        z = inlined_2 + 1
        """,
        {1: {1}, 2: {2}, 3: {3}, 4: {5}, 5: {2}, 7: {3, 5}},
        id="a helper with a local",
    ),
    pytest.param(
        "to_attribute",
        """
        class Net:
            def forward(self, x):
                h = x + 1
                return h
        """,
        """
        class Kept:
            pass
        class Net:
            def forward(self, x):
                self.kept_h = x + 1
                return self.kept_h
        """,
        {3: {1}, 4: {2}, 5: {3}, 6: {4}},
        id="a local of a method",
    ),
    pytest.param(
        "loop_to_comprehension",
        """
        out = []
        for x in xs:
            out.append(f(x))
        """,
        "out = [f(x) for x in xs]\n",
        {1: {1, 2, 3}},
        id="a loop that appends",
    ),
    pytest.param(
        "comprehension_to_loop",
        "y = g([f(x) for x in xs if x])\n",
        """
        collected_1 = []
        for x in xs:
            if x:
                collected_1.append(f(x))
        y = g(collected_1)
        """,
        {1: {1}, 2: {1}, 3: {1}, 4: {1}, 5: {1}},
        id="a comprehension with a condition",
    ),
    pytest.param(
        "as_functions",
        """
        import torch
        y = -(a - b).detach()[0] * x.reshape(2, 3)
        """,
        """
        import torch
        y = torch.mul(torch.neg(torch.select(torch.detach(torch.sub(a, b)), 0, 0)), torch.reshape(x, (2, 3)))
        """,
        {1: {1}, 2: {2}},
        id="operators and methods as functions",
    ),
    pytest.param(
        "as_methods",
        """
        a -= torch.relu(b) @ c
        y = a > F.softmax(b, dim=1)
        """,
        """
        a.sub_(b.relu().matmul(c))
        y = a.gt(b.softmax(dim=1))
        """,
        {1: {1}, 2: {2}},
        id="operators and functions as methods",
    ),
    pytest.param(
        "as_operators", "y = torch.sub(a + b, c).mul(d)\n", "y = (((a + b) - c) * d)\n", {1: {1}}, id="as operators"
    ),
    pytest.param(
        "as_aliases",
        """
        import torch
        with torch.no_grad():
            y = torch.clamp(x - 1, 0)
        y.abs().sum().backward(retain_graph=True)
        """,
        """
        import torch
        with torch.set_grad_enabled(False):
            y = torch.clip(torch.subtract(x, 1), 0)
        torch.autograd.backward(y.absolute().sum(), retain_graph=True)
        """,
        {1: {1}, 2: {2}, 3: {3}, 4: {4}},
        id="other names",
    ),
    pytest.param("as_unbind", "y = x[1]\n", "y = x.unbind()[1]\n", {1: {1}}, id="an index"),
    pytest.param(
        "into_function",
        """
        import torch
        x = torch.ones(2)
        def f():
            return x
        y = f()
        """,
        """
        import torch
        def f():
            return x
        def main():
            global x
            x = torch.ones(2)
            y = f()
        main()
        """,
        {1: {1}, 2: {3}, 3: {4}, 6: {2}, 7: {5}},
        id="a script",
    ),
    pytest.param(
        "rename",
        """
        class Net(nn.Module):
            def __init__(self, width):
                self.inner_part = nn.Linear(width, 2)

            def forward(self, x):
                return self.inner_part(x).relu()
        """,
        """
        class zq1(nn.Module):
            def __init__(zq3, zq4):
                zq3.zq2 = nn.Linear(zq4, 2)

            def forward(zq3, zq5):
                return zq3.zq2(zq5).relu()
        """,
        {1: {1}, 2: {2}, 3: {3}, 5: {5}, 6: {6}},
        id="all that is the user's",
    ),
]


@pytest.mark.parametrize(("transform", "before", "after", "lines"), MADE)
def test_what_is_made(transform: str, before: str, after: str, lines: dict[int, set[int]]) -> None:
    result = changed(transform, before)
    assert result is not None
    text, found, _ = result
    assert text == written(after)
    assert found == lines


LEFT = [
    pytest.param("function_to_lambda", "def f(x):\n    y = x\n    return y\n", id="two statements"),
    pytest.param("function_to_lambda", "@hook\ndef f(x):\n    return x\n", id="a decorated function"),
    pytest.param("lambda_to_function", "y = [lambda: x for x in xs]\n", id="a lambda that a comprehension binds for"),
    pytest.param("split_helper", "def f(x):\n    y = x\n    return super().g(y)\n", id="super"),
    pytest.param("inline_helper", "def f(x):\n    if x:\n        return 1\n    return 2\ny = f(1)\n", id="two returns"),
    pytest.param("inline_helper", "def f(x=1):\n    return x\ny = f()\n", id="a default"),
    pytest.param("to_attribute", "def f(x):\n    return x\n", id="no local"),
    pytest.param("loop_to_comprehension", "for x in xs:\n    y = x\n", id="a loop that assigns"),
    pytest.param("comprehension_to_loop", "x = 1\ny = [x for x in xs]\n", id="a variable that lives outside"),
    pytest.param("as_methods", "y = x.relu()\n", id="a method already"),
    pytest.param("as_unbind", "y = x[1:]\n", id="a slice"),
    pytest.param("as_functions", "import torch\nx[1], y = z\n", id="an index that is written to"),
    pytest.param("as_functions", "import torch\nloss.backward()\n", id="a method without a function of its name"),
    pytest.param("as_aliases", "import torch\ny = torch.tanh(x)\n", id="no other name"),
    pytest.param("as_methods", "x[1] += z\n", id="an index that is added to"),
    pytest.param("into_function", "def f():\n    return 1\n", id="only definitions"),
    pytest.param("rename", "import torch\ntorch.ones(2).backward()\n", id="nothing of the user's"),
    pytest.param("layers_in_front", "model = nn.Linear(2, 2)\n", id="no class of a model"),
    pytest.param("move_to_module", "x = 1\nx += 1\ndef f():\n    return x\n", id="a function of a variable"),
]


@pytest.mark.parametrize(("transform", "text"), LEFT)
def test_what_is_left_alone(transform: str, text: str) -> None:
    assert changed(transform, text) is None


def test_definitions_move_with_what_they_need() -> None:
    result = changed("move_to_module", "import torch\nSIZE = 3\n\ndef f():\n    return torch.ones(SIZE)\n\ny = f()\n")
    assert result is not None
    text, _, helpers = result
    assert text == "import torch\nfrom parts import SIZE, f\n\ny = f()\n"
    assert helpers == {"parts.py": "import torch\nSIZE = 3\n\ndef f():\n    return torch.ones(SIZE)\n"}


def test_every_statement_of_a_function_moves_down() -> None:
    result = changed("extra_lines", "def f(x):\n    y = x\n    return y\n", kind="model")
    assert result is not None
    _, lines, _ = result
    assert {line for line, before in lines.items() if before == {3}} == {5}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_numbers_keep_their_operators(tmp_path: Path) -> None:
    """Only one plain run tells which `-` is torch's."""
    text = written(
        """
        import torch
        count = 3 - 1
        value = torch.ones(count) - 1
        print(value)
        """
    )
    program = Program(name="kind", text=text, question=Question(kind="script"))
    other = paraphrase(program, "as_methods", tmp_path, 60)
    assert other is not None
    assert other.text == text.replace("torch.ones(count) - 1", "torch.ones(count).sub(1)")


def test_comments_give_way_and_strings_stay() -> None:
    text = 'x = "#@7"  # why\ny = """a\n# no comment\nb"""\n# alone\nz = (1,\n     2)\n'
    after, lines = read_marks(mark_lines(text))
    assert after == 'x = "#@7"\ny = """a\n# no comment\nb"""\n\nz = (1,\n     2)\n'
    assert lines == {1: {1}, 4: {4}, 6: {6}, 7: {7}}
