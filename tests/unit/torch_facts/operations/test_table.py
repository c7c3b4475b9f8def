"""The table itself: one row for each operation, no word without a meaning, no row that is left out in silence."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from gradflow.torch_facts.operations.queries import hands_entries_on, has, may_write, reads_part, words_of
from gradflow.torch_facts.operations.rows import computing, leaving, making, moving
from gradflow.torch_facts.operations.spelling import ALIASES, operation_of
from gradflow.torch_facts.operations.table import OPERATIONS, row_of
from gradflow.torch_facts.operations.vocabulary import NO_DERIVATIVE, VOCABULARY
from tests.unit.torch_facts.operations.calling import CALLED
from tests.unit.torch_facts.operations.samples import NOT_CALLED


def test_one_row_each() -> None:
    names = [
        line.partition("  ")[0]
        for part in (computing, leaving, making, moving)
        for line in part.ROWS.splitlines()
        if line and not line.startswith("#")
    ]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert len(names) == len(OPERATIONS)


def test_no_row_is_hidden_behind_another_name() -> None:
    assert [name for name in OPERATIONS if operation_of(name) != name] == []
    assert [alias for alias, name in ALIASES.items() if name not in OPERATIONS] == []


def test_every_word_is_used_and_explained() -> None:
    used = set[str]().union(*(one.words for one in OPERATIONS.values()))
    assert used == VOCABULARY.keys()
    assert VOCABULARY.keys() >= NO_DERIVATIVE


def test_every_row_is_called_or_says_why_not() -> None:
    assert NOT_CALLED.keys() <= OPERATIONS.keys()
    assert all(NOT_CALLED.values())
    assert len(CALLED) + len(NOT_CALLED) == len(OPERATIONS)


def test_nothing_is_said_of_what_is_not_known() -> None:
    assert row_of("my_kernel") is None
    assert words_of("my_kernel") == frozenset()
    assert not has("my_kernel", *VOCABULARY)


@pytest.mark.parametrize(
    ("question", "yes", "no"),
    [(may_write, "relu", "gelu"), (hands_entries_on, "flip", "exp"), (reads_part, "amax", "flatten")],
)
def test_questions_of_several_words(question: object, yes: str, no: str) -> None:
    assert callable(question)
    assert (question(yes), question(no)) == (True, False)


def test_it_is_plain_data() -> None:
    """The parts that look at plain data alone ask it, and they never reach torch."""
    script = "import sys, gradflow.torch_facts.operations.families; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
