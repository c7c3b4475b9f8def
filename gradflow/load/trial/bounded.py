"""Whether a model from a file that nobody vouches for may run."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from gradflow.errors import LoadError
from gradflow.load.module_tree import buffers_in, parameters_in
from gradflow.load.quiet import quietly
from gradflow.load.trial.counting import MOST_BYTES, Counting, TooMuchError, without_data
from gradflow.load.trial.memory import limited_memory
from gradflow.load.trial.twin import NoTwinError, twin_without_data

__all__ = ["require_bounded", "runs_without_data"]


def require_bounded(model: nn.Module, arguments: tuple[Any, ...], keywords: Mapping[str, Any], name: str) -> int:
    """Run a copy of the model once without data, and count what a run takes.

    Where it cannot run without data, a copy runs on the data. What goes wrong in the copy, and is not too much, goes
    wrong in the run itself, which tells it better.

    Returns
    -------
    int
        How often it ran.

    Raises
    ------
    LoadError
        When a run takes more memory, operations or work than a file may ask for (see
        :mod:`gradflow.load.trial.counting`).
    """
    without, on_data = Counting(), Counting()
    try:
        with quietly():
            try:
                is_done = runs_without_data(twin_without_data(model), arguments, keywords, without)
            except NoTwinError:
                is_done = False
            if not is_done:
                _run_on_data(model, arguments, keywords, on_data)
    except TooMuchError as error:
        raise LoadError(
            f"running `{name}` on this input takes {error.what}",
            note="that is more than a file may ask for that nobody vouches for",
            hint="if you know where the file comes from, pass `--trust`; or give a smaller input with `--input-shape`",
        ) from error
    return without.run_count + on_data.run_count


def runs_without_data(
    twin: nn.Module, arguments: tuple[Any, ...], keywords: Mapping[str, Any], counting: Counting
) -> bool:
    """Whether a model without data (see :func:`twin_without_data`) runs on inputs of these shapes.

    Raises
    ------
    TooMuchError
        When it takes more than ``counting`` allows.
    """
    arguments, keywords = without_data((arguments, dict(keywords)))
    try:
        _run(twin, arguments, keywords, counting)
    except TooMuchError:
        raise
    except Exception:  # noqa: BLE001 - that it raises is the answer
        return False
    return True


def _run_on_data(model: nn.Module, arguments: tuple[Any, ...], keywords: Mapping[str, Any], counting: Counting) -> None:
    try:
        with _expendable(model) as expendable, limited_memory(MOST_BYTES):
            _run(expendable, arguments, keywords, counting)
    except TooMuchError:
        raise
    except MemoryError as error:
        raise TooMuchError(f"more than {MOST_BYTES // 2**30} GiB of memory") from error
    except Exception:  # noqa: BLE001 - the run itself will raise it again, where it can be told
        return


@contextlib.contextmanager
def _expendable(model: nn.Module) -> Iterator[nn.Module]:
    """A copy; where there can be none, as of some exported programs, the model itself, whose values are put back."""
    try:
        twin = copy.deepcopy(model)
    except Exception:  # noqa: BLE001 - a model may hold anything
        tensors = [*parameters_in(model), *buffers_in(model)]
        values = [tensor.detach().clone() for tensor in tensors]
        try:
            yield model
        finally:
            with torch.no_grad():
                for tensor, value in zip(tensors, values, strict=True):
                    tensor.copy_(value)
    else:
        yield twin


def _run(model: nn.Module, arguments: tuple[Any, ...], keywords: Mapping[str, Any], counting: Counting) -> None:
    with torch.no_grad(), torch.random.fork_rng(devices=[]), counting:
        counting.run_count += 1
        model(*arguments, **keywords)
