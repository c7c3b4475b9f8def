"""The gradient of each of several targets by itself, where one backward pass for all raised, or would mislead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch

from gradflow.probe.gradient import Gradients, differentiate
from gradflow.record.run import Live, Run

__all__ = ["each_by_itself"]


def each_by_itself(
    together: Gradients, run_again: Callable[[], Run], parameters: Mapping[str, torch.Tensor]
) -> dict[str, Gradients]:
    """What each target gets when it is asked for alone, by name.

    An operation whose backward raises says nothing about a target whose gradient does not pass it. What a tensor's own
    hook makes of its gradient does not depend on what else is asked for.

    Parameters
    ----------
    together
        What one backward pass for all targets brought; this is the answer wherever it did not raise.
    run_again
        The same forward once more, for a graph of which no part is freed yet. Its keeping is the only cost of a
        backward pass that raises, besides the passes for parts of the targets.
    parameters
        The targets that are parameters.
    """
    names = list(together.by_target)
    if len(names) < 2 or (together.error is None and not together.hooked):
        return dict.fromkeys(names, together)
    run = run_again()
    found: dict[str, Gradients] = {}
    if together.error is None:
        found = dict.fromkeys(names, together)
        waiting: list[Sequence[str]] = [[name] for name in names if name in together.hooked]
    else:
        waiting = _halves(names)
    while waiting:
        part = waiting.pop()
        gradients = _of(run, parameters, part)
        if gradients.error is None or len(part) == 1:
            found.update(dict.fromkeys(part, gradients))
        else:
            waiting += _halves(part)
    return {name: found[name] for name in names}


def _halves(names: Sequence[str]) -> list[Sequence[str]]:
    middle = len(names) // 2
    return [names[:middle], names[middle:]]


def _of(run: Run, parameters: Mapping[str, torch.Tensor], names: Sequence[str]) -> Gradients:
    narrowed = replace(run, live=_of_targets(run.live, names))
    asked = {name: parameters[name] for name in names if name in parameters}
    return differentiate(narrowed, asked)


def _of_targets(live: Live, names: Sequence[str]) -> Live:
    return replace(live, activations={name: live.activations[name] for name in names if name in live.activations})
