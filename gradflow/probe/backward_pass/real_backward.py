"""Gradients behind a reentrant checkpoint, where ``torch.autograd.grad`` is not allowed: by a ``backward``, put back.

A reentrant checkpoint runs a backward of its own inside, which fills the ``.grad`` of the leaves that it reads; so does
a Function that somebody wrote for the same, as of layers that can be run backwards. Each
leaf that the run read gets an empty ``.grad`` for the time of one ``backward``, and its own one, the very object, after
it. What the checkpoint runs once more in it is watched by ``again``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from gradflow.record.conduct.whose_error import run_theirs
from gradflow.record.modules.run_again import CallsAgain
from gradflow.record.run import Run
from gradflow.torch_facts.frames import asks_if_it_may_run

__all__ = ["gradients_of"]


def gradients_of(run: Run, wanted: Sequence[Any], again: CallsAgain | None = None) -> Sequence[torch.Tensor | None]:
    """The gradient of the score of a run at each leaf or gradient edge of ``wanted``; ``None`` where no path leads.

    The graph is kept: it may go on into what the model had made before the run, or keeps after it, and that is to be
    differentiated by others.

    Raises
    ------
    Exception
        Whatever the user's backward raises.
    """
    score = run.live.score
    if score is None or not _is_backward_within(run):
        if not wanted:
            return ()
        found: Sequence[torch.Tensor | None] = run_theirs(
            torch.autograd.grad, (score, wanted), {"retain_graph": True, "allow_unused": True}
        )
        return found
    if not wanted and (again is None or not again.is_waiting):
        return ()
    caught: dict[int, torch.Tensor] = {}
    with contextlib.ExitStack() as stack:
        # a leaf that nobody holds is not wanted either
        leaves = [leaf for reference in run.live.leaves if (leaf := reference()) is not None]
        for leaf in leaves:
            stack.enter_context(_empty(leaf))
        for position, one in enumerate(wanted):
            if not isinstance(one, torch.Tensor) and getattr(one.node, "variable", None) is None:
                stack.callback(one.node.register_prehook(_catch(caught, position, one.output_nr)).remove)
        if again is not None:
            stack.enter_context(again.watching())
        run_theirs(torch.autograd.backward, (score,), {"retain_graph": True})
        return [
            caught.get(position) if leaf is None else leaf.grad for position, leaf in enumerate(map(_leaf_of, wanted))
        ]


def _is_backward_within(run: Run) -> bool:
    """Whether the backward of a Function may run one of its own, which fills ``.grad``: its forward ran modules."""
    return bool(run.recording.completeness.ran_unseen) or any(map(_refuses_grad, run.live.functions.values()))


def _refuses_grad(function: type) -> bool:
    """Whether the backward of a Function asks torch if it may run, which it may not within ``torch.autograd.grad``."""
    code = getattr(getattr(function, "backward", None), "__code__", None)
    return code is not None and asks_if_it_may_run(code)


def _leaf_of(wanted: Any) -> torch.Tensor | None:
    return wanted if isinstance(wanted, torch.Tensor) else getattr(wanted.node, "variable", None)


def _catch(caught: dict[int, torch.Tensor], position: int, number: int) -> Callable[[Sequence[Any]], None]:
    def hook(gradients: Sequence[Any]) -> None:
        if gradients[number] is not None:
            caught[position] = gradients[number].clone()

    return hook


@contextlib.contextmanager
def _empty(leaf: torch.Tensor) -> Iterator[None]:
    """Without a gradient, and without the hooks that wait for one to be filled in."""
    gradient, hooks = leaf.grad, leaf._post_accumulate_grad_hooks
    waiting = dict(hooks or {})
    try:
        leaf.grad = None
        if hooks:
            hooks.clear()
        yield
    finally:
        leaf.grad = gradient
        if waiting:
            hooks.update(waiting)
