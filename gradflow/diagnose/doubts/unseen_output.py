"""A layer that was called although no output of it could be taken: neither used nor unused."""

from __future__ import annotations

from gradflow.probe.evidence import Evidence
from gradflow.recording import UnseenCall
from gradflow.source_place import place

__all__ = ["has_unseen_output", "what_happened", "why_unseen"]


def has_unseen_output(evidence: Evidence) -> bool:
    """Whether the layer was called in a way that leaves open what the score has of it."""
    return bool(evidence.recording.unseen_calls.get(evidence.target))


def why_unseen(evidence: Evidence) -> str:
    """Why that is open: what the first call of which there is no output did."""
    call, *others = evidence.recording.unseen_calls[evidence.target]
    span = evidence.recording.site_span(call.site)
    at = f" ({'runs' if call.kind == 'own call' else 'called'} at {place(span)})" if span is not None else ""
    more = f"; so it was in {len(others)} more calls" if others and all(o.kind == call.kind for o in others) else ""
    hint = "; its parameters can be asked for" if call.kind == "inside" else ""
    return f"{_subject(call)}{what_happened(call)}{hint}{at}{more}"


def _subject(call: UnseenCall) -> str:
    return f"`{call.what}` " if call.kind == "own call" else "it "


def what_happened(call: UnseenCall) -> str:
    """What a call did of which there is no output; what did it is to be said before."""
    if call.kind == "raised":
        return f"raised `{call.what}`, which the model caught, so that it gave no output"
    if call.kind == "inside":
        return f"ran inside `{call.what}`, where what it returns is not recorded"
    if call.kind == "own call":
        return "has a `__call__` of its own, past torch's hooks, so that what it returns is not seen"
    given = "`None`" if call.what == "NoneType" else f"a `{call.what}`"
    return f"returned {given}, in which there is no tensor that could be followed"
