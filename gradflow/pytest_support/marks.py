"""The marker ``@pytest.mark.gradflow``, as the function that its arguments are checked by."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gradflow.current_test import CurrentTest
from gradflow.diagnose.codes import CODES
from gradflow.load.names import did_you_mean
from gradflow.printable import printable

__all__ = ["read_marks"]


def read_marks(item: pytest.Item) -> CurrentTest:
    """Which findings can fail this test: the nearest ``select`` counts, ``ignore`` adds up.

    Raises
    ------
    pytest.UsageError
        When a marker has other arguments, or names no finding.
    """
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    for mark in item.iter_markers("gradflow"):
        try:
            chosen, ignored = _gradflow(*mark.args, **mark.kwargs)
        except (TypeError, ValueError) as error:
            problem = str(error).replace("_gradflow()", "it")
            raise pytest.UsageError(printable(f"{item.nodeid}: @pytest.mark.gradflow: {problem}")) from None
        select = select or chosen
        ignore += ignored
    return CurrentTest(select, ignore)


def _gradflow(
    *, select: str | Sequence[str] = (), ignore: str | Sequence[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The two lists, checked."""
    return _checked(select), _checked(ignore)


def _checked(names: str | Sequence[str]) -> tuple[str, ...]:
    chosen = (names,) if isinstance(names, str) else tuple(names)
    for name in chosen:
        is_code = name.startswith("GF") and any(code.startswith(name) for code in CODES)
        if not is_code and name not in CODES.values():
            hint = did_you_mean(name, (*CODES, *CODES.values()))
            raise ValueError(f"there is no finding `{name}`{f'; {hint}' if hint else ''}")
    return chosen
