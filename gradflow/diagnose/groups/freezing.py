"""How parameters that are not meant to learn are frozen in code, without freezing any that learn."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gradflow.diagnose.diagnostic import Help

__all__ = ["if_not_meant", "in_code"]

_MOST_NAMED = 4


def if_not_meant(names: Sequence[str], trainable: Collection[str]) -> tuple[Help, ...]:
    """What to write where the parameters ``names``, of all that are ``trainable``, are to stay as they are."""
    owners = _smallest_cover(names, trainable)
    written = [f"`{in_code(owner)}`" for owner in owners]
    if not owners:
        return ()
    they = "they are" if len(names) > 1 else "it is"
    if len(written) == 1:
        return (Help(text=f"if {they} not meant to learn, say so: `{in_code(owners[0])}.requires_grad_(False)`"),)
    more = f" and {len(written) - _MOST_NAMED + 1} more" if len(written) > _MOST_NAMED else f" and {written[-1]}"
    shown = written[: _MOST_NAMED - 1] if len(written) > _MOST_NAMED else written[:-1]
    which = f"{', '.join(shown)}{more}"
    return (Help(text=f"if {they} not meant to learn, say so: call `requires_grad_(False)` on {which}"),)


def in_code(name: str) -> str:
    """A qualified name as code writes it: ``layers.3.attn`` is ``model.layers[3].attn``."""
    parts = name.split(".")
    return "model" + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in parts)


def _smallest_cover(names: Sequence[str], trainable: Collection[str]) -> tuple[str, ...]:
    """The outermost modules all of whose trainable parameters are among ``names``, and the parameters in none."""
    others = set(trainable) - set(names)
    taken = {owner for name in others for owner in _owners(name)}
    found: dict[str, None] = {}
    for name in names:
        found[next((owner for owner in _owners(name) if owner not in taken), name)] = None
    return tuple(found)


def _owners(name: str) -> list[str]:
    """The modules that a parameter is in, the outermost first."""
    parts = name.split(".")[:-1]
    return [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
