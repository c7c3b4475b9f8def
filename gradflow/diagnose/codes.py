"""The one list of codes: stable, never reused. Each name is the vocabulary's, and each code has a page."""

from __future__ import annotations

__all__ = ["CODES", "code_of"]

CODES: dict[str, str] = {
    # GF1xx: the path is cut
    "GF101": "detach",
    "GF102": "no-grad",
    "GF103": "inference-mode",
    "GF104": "numpy-roundtrip",
    "GF105": "tensor-rewrap",
    "GF106": "nondiff-op",
    "GF107": "requires-grad-off",
    "GF108": "requires-grad-too-late",
    "GF109": "nothing-requires-grad",
    "GF110": "not-trainable",
    "GF111": "custom-function",
    "GF112": "reentrant-checkpoint",
    "GF113": "compiled-hooks",
    "GF114": "integer-input",
    # GF2xx: the wrong tensor is asked
    "GF201": "stale-activation",
    "GF202": "hook-detach",
    "GF203": "hook-replaces-output",
    "GF204": "wrong-grad-source",
    "GF205": "non-leaf-grad",
    "GF206": "wrong-module-instance",
    "GF207": "shared-layer-overwrite",
    "GF208": "functional-bypass",
    "GF209": "grad-accumulated",
    # GF3xx: it takes no part
    "GF301": "layer-not-called",
    "GF302": "output-discarded",
    "GF303": "position-not-read",
    "GF304": "unregistered-params",
    "GF305": "optimizer-stale-params",
    "GF306": "no-gradient-at-step",
    "GF307": "zeroed-before-step",
    "GF308": "step-moves-nothing",
    # GF4xx: the value
    "GF401": "partial-detach",
    "GF402": "zero-derivative-op",
    "GF403": "saturation",
    "GF404": "constant-score",
    "GF405": "zero-multiplier",
    "GF406": "precision-underflow",
    "GF407": "nan-singularity",
    "GF408": "vanishing-gradient",
    "GF409": "exploding-gradient",
    "GF410": "wrong-derivative",
    "GF411": "masked-gradient",
    # GF5xx: backward raises
    "GF501": "inplace-modification",
    "GF502": "graph-freed",
    "GF503": "backward-raised",
}

_CODE_BY_NAME = {name: code for code, name in CODES.items()}


def code_of(name: str) -> str:
    """The code of a rule's name: ``code_of("detach")`` is ``"GF101"``."""
    return _CODE_BY_NAME[name]
