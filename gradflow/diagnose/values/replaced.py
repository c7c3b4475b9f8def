"""The words for a gradient that ends where values are put in the place of others."""

from __future__ import annotations

__all__ = ["words_of_replacing"]


def words_of_replacing(operation: str, target: str, *, writes_over: bool | None) -> tuple[str, str, str]:
    """Label, note and help, by whether any of the target's own values were replaced; ``None`` is not known."""
    if writes_over:
        return (
            "its values are replaced by others here",
            f"`{operation}` puts other values in the place of all those that the score reads",
            "check the mask or the index: it covers every position that matters for the score",
        )
    if writes_over is None:
        return (
            "only other values are read from here on",
            f"where the score reads what `{operation}` gives, other values stand than those of `{target}`",
            "check the mask or the index: it leads the score to other values",
        )
    return (
        "only other positions are read from here on",
        f"`{operation}` replaces no value of `{target}`: the score reads positions at which other values stand",
        "read these positions too, or ask for a layer whose positions are read",
    )
