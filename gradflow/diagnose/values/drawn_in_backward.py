"""GF410: a gradient that depends on what the backward draws, in words."""

from __future__ import annotations

from gradflow.diagnose.codes import code_of
from gradflow.diagnose.diagnostic import Diagnostic, Help
from gradflow.probe.facts.backward_draws import BackwardDraws

__all__ = ["drawn_finding", "drawn_unseen"]

_MEASURED = "measured: of two backward passes over the same forward, with other random numbers, the gradients differ by"


def drawn_finding(draws: BackwardDraws, whose: str, score: str, share: float) -> Diagnostic | None:
    """An error where a checkpoint draws anew, a note where the backward draws by its own code; none where unseen."""
    if draws.drawn == "unseen":
        return None
    is_recomputed = draws.drawn == "recomputed"
    measured = f"{_MEASURED} {100 * share:.0f}% (relative L2)"
    if not is_recomputed:
        return Diagnostic(
            code=code_of("wrong-derivative"),
            name="wrong-derivative",
            severity="info",
            message=f"{whose} depends on random numbers that the backward draws",
            location=draws.span,
            label="draws in the backward" if draws.span is not None else "",
            notes=(measured,),
        )
    return Diagnostic(
        code=code_of("wrong-derivative"),
        name="wrong-derivative",
        severity="error",
        message=f"{whose} is not the derivative of {score}: a checkpoint draws other random numbers in the backward",
        location=draws.span,
        label="draws in the forward, and once more when the checkpoint runs it again" if draws.span is not None else "",
        notes=("what is differentiated is the second run, and the score was made by the first", measured),
        helps=(
            Help(text="let the checkpoint keep the state of the generators: `preserve_rng_state=True`, its default"),
            Help(text="or draw outside of the checkpoint, and give it what was drawn (numbers of Python or NumPy too)"),
        ),
    )


def drawn_unseen(draws: BackwardDraws | None, target: str) -> tuple[str, ...]:
    """What cannot be told of a target where the draw was not seen."""
    if draws is None or draws.drawn != "unseen" or not draws.changes(target):
        return ()
    reason = "it depends on random numbers that are drawn in the backward, and where was not seen"
    return (f"whether the gradient at `{target}` is the derivative, because {reason}",)
