"""A loop over the layers that was left before it came to this one."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.probe.layer_view import LayerView, NotCalled, short_text
from gradflow.probe.usage import UsageSite
from gradflow.source.loop_exits import LoopExit

__all__ = ["left_early"]


def left_early(views: Sequence[LayerView]) -> NotCalled | None:
    """The exit of the loop around the call, where no condition on the way to the call can explain it as well."""
    for view in views:
        sites = [site for site in view.calls() if site.reached]
        if not sites or any(guard.evidence != "entered" for site in sites for guard in site.guards):
            continue
        # where no round of the loop was recorded, it may as well have been empty
        site = next((each for each in sites if each.executed and each.exits), None)
        if site is not None:
            return _explain(site, site.exits)
    return None


def _explain(site: UsageSite, exits: Sequence[LoopExit]) -> NotCalled:
    chosen = next((each for each in exits if each.guard is None or each.guard.evidence == "entered"), exits[0])
    call = short_text(site.text)
    others = [each for each in exits if each is not chosen]
    more = f"; so may line {', '.join(str(each.span.line) for each in others)}" if others else ""
    if chosen.guard is None:
        return NotCalled(
            kind="layer-not-called",
            location=chosen.span,
            label=f"leaves the loop in its first round, so `{call}` on line {site.span.line} runs once at most",
            note="inferred from the code: no condition stands around it within the loop",
            help="let the loop go on, or choose a layer that runs",
            subject="",
        )
    is_sure = chosen.guard.evidence == "entered" and not others
    outcome = chosen.guard.told(holds=chosen.guard.runs_when, is_sure=is_sure)
    return NotCalled(
        kind="layer-not-called",
        location=chosen.guard.span,
        label=f"{outcome}, so the loop was left before `{call}` came to this layer",
        note=f"line {chosen.span.line} (`{short_text(chosen.text)}`) leaves the loop{more}; "
        + ("operations were recorded on that line" if is_sure else "inferred from the code"),
        help=f"{chosen.guard.wish(holds=not chosen.guard.runs_when)} for this input, or choose a layer that runs",
        subject="",
    )
