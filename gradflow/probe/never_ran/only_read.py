"""Code that reads a layer and hands it on, where no call of it is known: who gets it may call it."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.probe.layer_view import LayerView, short_text
from gradflow.probe.usage import UsageSite

__all__ = ["read_elsewhere", "reads_of"]

_MOST = 3


def reads_of(views: Sequence[LayerView]) -> list[UsageSite]:
    """The places that read a layer, or something that holds it, and hand it on; one for each line."""
    sites: dict[tuple[str, int], UsageSite] = {}
    for view in views:
        for site in (*view.usage.handed, *(read for read in view.usage.reads if read.is_argument)):
            sites.setdefault((site.span.path, site.span.line), site)
    return sorted(sites.values(), key=_is_chosen)


def read_elsewhere(reads: Sequence[UsageSite], written: str) -> str:
    """Where it is read, in words; empty where no code of these classes reads it."""
    if not reads:
        return ""
    places = [f"line {site.span.line} (`{_text(site)}`)" for site in reads[:_MOST]]
    more = f" and {len(reads) - _MOST} more" if len(reads) > _MOST else ""
    is_read = "may be read" if _is_chosen(reads[0]) else "is read"
    return f"`{written}` {is_read} on {', '.join(places)}{more}, and no call of what is read there was seen"


def _is_chosen(site: UsageSite) -> bool:
    """Whether a name or an index that is computed chooses what is read there."""
    return site.part_span is not None


def _text(site: UsageSite) -> str:
    return f"{site.callee}(...)" if site.callee else short_text(site.text)
