"""Gradients as assertions, for any test runner: ``from gradflow.testing import assert_connected``.

Under pytest the fixture ``gradflow`` has the same functions. Each returns the report of what it found, raises
:class:`GradientAssertionError` with the whole diagnosis where a gradient is not as it should be, and leaves the model
as it was.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradflow.testing.batch_leakage import assert_no_batch_leakage as assert_no_batch_leakage
    from gradflow.testing.connection import assert_connected as assert_connected
    from gradflow.testing.connection import assert_disconnected as assert_disconnected
    from gradflow.testing.derivative import assert_gradient_matches as assert_gradient_matches
    from gradflow.testing.failure import GradientAssertionError as GradientAssertionError
    from gradflow.testing.health import assert_healthy_gradients as assert_healthy_gradients
    from gradflow.testing.learning import assert_all_parameters_learn as assert_all_parameters_learn
    from gradflow.testing.learning import assert_frozen as assert_frozen
    from gradflow.testing.skips import assert_skip_carries_gradient as assert_skip_carries_gradient

_HOME = {
    "GradientAssertionError": "failure",
    "assert_all_parameters_learn": "learning",
    "assert_connected": "connection",
    "assert_disconnected": "connection",
    "assert_frozen": "learning",
    "assert_gradient_matches": "derivative",
    "assert_healthy_gradients": "health",
    "assert_no_batch_leakage": "batch_leakage",
    "assert_skip_carries_gradient": "skips",
}

__all__ = [  # noqa: PLE0604, RUF100 - they are loaded on first use, because importing torch takes seconds
    "GradientAssertionError",
    "assert_all_parameters_learn",
    "assert_connected",
    "assert_disconnected",
    "assert_frozen",
    "assert_gradient_matches",
    "assert_healthy_gradients",
    "assert_no_batch_leakage",
    "assert_skip_carries_gradient",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = found
    return found
