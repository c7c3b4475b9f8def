"""Whether a model from a file that nobody vouches for may run."""

from __future__ import annotations

import contextlib
import copy
import io
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree

from gradflow.errors import LoadError
from gradflow.load.trial.counting import Counting, TooMuchError
from gradflow.load.trial.twin import twin_without_data

__all__ = ["require_bounded"]


def require_bounded(model: nn.Module, arguments: tuple[Any, ...], keywords: Mapping[str, Any], name: str) -> None:
    """Run a copy of the model once without data, and count what a run takes.

    Where it cannot run without data, a copy runs on the data, each operation counted before it takes memory. What else
    goes wrong in the copy is left for the run itself, which tells it better.

    Raises
    ------
    LoadError
        When a run takes more memory, operations or work than a file may ask for: see
        :mod:`gradflow.load.trial.counting`.
    """
    try:
        if not _runs_without_data(model, arguments, keywords):
            _run_ahead(model, arguments, keywords)
    except TooMuchError as error:
        raise LoadError(
            f"running `{name}` on this input takes {error}",
            note="that is more than a file may ask for that nobody vouches for",
            hint="if you know where the file comes from, pass `--trust`; or give a smaller input with `--input-shape`",
        ) from error


def _runs_without_data(model: nn.Module, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> bool:
    twin = twin_without_data(model)
    if twin is None:
        return False

    def emptied(tensor: torch.Tensor) -> torch.Tensor:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")

    emptied_arguments, emptied_keywords = _pytree.tree_map_only(torch.Tensor, emptied, (arguments, dict(keywords)))
    try:
        with _quietly():
            _run(twin, emptied_arguments, emptied_keywords, Counting(ahead=False))
    except TooMuchError:
        raise
    except Exception:  # noqa: BLE001 - that it raises is the answer
        return False
    return True


def _run_ahead(model: nn.Module, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
    try:
        with _quietly():
            _run(copy.deepcopy(model), arguments, keywords, Counting(ahead=True))
    except TooMuchError:
        raise
    except Exception:  # noqa: BLE001 - the run itself will raise it again, where it can be told
        return


def _run(model: nn.Module, arguments: tuple[Any, ...], keywords: Mapping[str, Any], counting: Counting) -> None:
    with torch.no_grad(), torch.random.fork_rng(devices=[]), counting:
        model(*arguments, **keywords)


@contextlib.contextmanager
def _quietly() -> Any:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
