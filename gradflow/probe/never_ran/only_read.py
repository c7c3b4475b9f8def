"""Code that reads a layer and hands it on, where no call of it is known: who gets it may call it."""

from __future__ import annotations

from collections.abc import Sequence

from gradflow.probe.layer_view import LayerView, short_text
from gradflow.probe.usage import UsageSite

__all__ = ["read_elsewhere", "reads_of", "what_to_see"]

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
    return f"`{written}` {is_read} on {', '.join(places)}{more}, and no call of it was seen"


def what_to_see(reads: Sequence[UsageSite]) -> str:
    """What somebody who wants the layer to run looks at, where code reads it."""
    line = reads[0].span.line
    if _is_chosen(reads[0]):
        return f"see whether line {line} comes to it, and that it is called then, or remove it"
    return f"see that what line {line} reads is called, or remove it"


def _is_chosen(site: UsageSite) -> bool:
    """Whether what is read there need not be the layer: a name, an index or a function chooses among several."""
    return site.is_one_of


def _text(site: UsageSite) -> str:
    return f"{site.callee}(...)" if site.callee else short_text(site.text)
