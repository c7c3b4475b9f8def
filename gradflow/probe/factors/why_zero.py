"""What makes a gradient zero that arrives: hooks that take it, parameters that start at zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gradflow.probe.evidence import TakingHook
from gradflow.probe.factors.zero_parameters import zero_starts
from gradflow.probe.hooks.taken_gradients import taking_hooks
from gradflow.probe.laboratory import Laboratory
from gradflow.recording import Recording
from gradflow.recording.gradients import NodeFlow

__all__ = ["WhyZero", "why_zero"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyZero:
    """The outcome, named as in ``Evidence``."""

    taking_hooks: tuple[TakingHook, ...] = ()
    zero_starts: tuple[str, ...] = ()
    starts_of_rest: tuple[str, ...] = ()
    undetermined: tuple[str, ...] = ()


def why_zero(
    laboratory: Laboratory,
    recording: Recording,
    flows: Sequence[NodeFlow],
    target: str,
    index: Any,
    starts: tuple[str, ...] | None,
) -> WhyZero:
    """Leave hooks out, and move parameters of zeros, to see whether a gradient then arrives.

    ``starts`` are the parameters where somebody has found them out already, ``None`` where nobody has looked.
    """
    by_target, unknown = taking_hooks(laboratory, (target,))
    hooks = by_target.get(target, ())
    if starts is None:
        starts = () if hooks else zero_starts(laboratory, recording, flows, target, index)
    # where the part that was asked for stays zero all the same, whether the rest of the target does
    is_part = index is not None and not (hooks or starts)
    return WhyZero(
        taking_hooks=hooks,
        zero_starts=starts,
        starts_of_rest=zero_starts(laboratory, recording, flows, target) if is_part else (),
        undetermined=(
            *((unknown,) if unknown else ()),
            *(
                f"on which line {one.shown} was registered, because that was before the check"
                for one in hooks
                if one.registered is None
            ),
        ),
    )
