"""What the source of a hook tells: where it keeps, uses and returns what it is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradflow.location import SourceSpan
from gradflow.recording.program.events import Hook
from gradflow.source.hooks import (
    keeps_all,
    place_of_keeping,
    place_of_return,
    place_of_use,
)

SOURCE = """\
kept, last = [], None


def store(module, inputs, output):
    drawn = output / output.max()
    kept.append(drawn)
    return drawn


def remember(module, grad_in, grad_out):
    global last
    last = grad_out[0]


def scale(module, inputs, output):
    half = 0.5
    return half * output


look = lambda module, inputs, output: kept.append(output)
"""
ARGUMENTS = ("module", "inputs", "output")


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "hooks.py"
    file.write_text(SOURCE)
    return str(file)


def hook(path: str, line: int, name: str, arguments: tuple[str, ...] = ARGUMENTS, **others: object) -> Hook:
    defined = SourceSpan(path=path, line=line, function=name)
    return Hook(
        kind="forward",
        module=0,
        site=0,
        operation=0,
        first_call=0,
        defined=defined,
        arguments=arguments,
        **others,  # type: ignore[arg-type]
    )


def test_a_hook_that_appends_what_was_made_of_its_output(path: str) -> None:
    store = hook(path, 4, "store")
    assert keeps_all(store)
    keeping, returned = place_of_keeping(store, 2), place_of_return(store)
    assert keeping is not None
    assert keeping.line == 6
    assert returned is not None
    assert returned.line == 7


def test_a_hook_that_overwrites_a_global(path: str) -> None:
    remember = hook(path, 10, "remember", ("module", "grad_in", "grad_out"))
    assert not keeps_all(remember)
    use = place_of_use(remember, 2)
    assert use is not None
    assert (use.line, use.column, use.end_column) == (12, 12, 23)
    assert place_of_use(remember, 1) is None


def test_a_local_name_is_nothing_kept(path: str) -> None:
    assert place_of_keeping(hook(path, 15, "scale"), 2) is None


def test_a_lambda_is_found_by_its_line(path: str) -> None:
    look = hook(path, 20, "<lambda>", is_lambda=True, names=frozenset({"kept", "append"}))
    assert keeps_all(look)
    assert place_of_keeping(look, 2) is None
    assert place_of_return(look) is None
