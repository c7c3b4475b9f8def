"""How much of a program was watched, and what of it was not."""

from __future__ import annotations

from gradflow.recording import Gap
from gradflow.watch.observation import Observation

__all__ = ["is_seen_to_the_end", "not_watched", "watched_text"]

_BACKWARD = "backward pass"


def watched_text(observation: Observation) -> str:
    """What was looked at, in one line."""
    parts = [
        (len(observation.recording), "operation"),
        (_forward_passes(observation), "forward pass"),
        (len(observation.program.backwards), _BACKWARD),
        (len(observation.program.hooks), "hook"),
        (len(observation.program.optimizers), "optimizer"),
    ]
    words = [_counted(count, noun) for count, noun in parts if count]
    words = words or ["no torch operation"]
    words += [f"ended by {failure.type_name}" for failure in observation.program.failures if failure.is_last]
    return ", ".join(words)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{('es' if noun.endswith('s') else 's') * (count != 1)}"


def _forward_passes(observation: Observation) -> int:
    """Outermost calls, without those of a loss function or a transform that is a module without parameters."""
    modules = observation.program.modules
    with_parameters = {module.root for module in modules.values() if module.has_parameters}
    outermost = [observation.program.call_modules[call.id] for call in observation.recording.calls if call.parent < 0]
    return sum(key in with_parameters or modules[key].root not in (-1, key) for key in outermost)


def is_seen_to_the_end(observation: Observation) -> bool:
    """Whether gradflow watched until the program, or the block, ended."""
    return observation.recording.completeness.is_to_the_end


def not_watched(observation: Observation) -> tuple[str, ...]:
    """What ran and was not watched."""
    return tuple(dict.fromkeys(filter(None, map(_in_words, observation.recording.completeness.gaps))))


def _elsewhere(gap: Gap) -> str:
    """Passes and steps; of what else ran there it matters only what else is asked."""
    events = gap.events or frozenset()
    if not events & {"backward passes", "steps"}:
        return ""
    is_step = "steps" in events
    what = f"{_counted(gap.missed, 'optimizer step')} did" if is_step else f"{_counted(gap.missed, _BACKWARD)} met"
    return f"what {what} in other threads: only the thread that starts the program is watched"


def _in_words(gap: Gap) -> str:
    match gap.why:
        case "observer failed":
            why = f"gradflow's own observation failed: {gap.detail}; please report it"
            return f"what happened later, because {why}"
        case "stepped aside":
            return f"what happened later: gradflow stepped aside {gap.detail}"
        case "interrupted":
            what = f"a forward of `{gap.detail}` was interrupted"
            return f"what ran after {what}, until the next forward or backward pass"
        case "another thread":
            return _elsewhere(gap)
        case "another process":
            shared = "what other processes did with the parameters that lie in shared memory"
            return f"{shared}: only the process that runs the program is watched" if gap.events else ""
        case "transform":
            return (
                "what gradients met that torch computed by itself: `torch.func` and `torch.autograd.functional` are "
                "not looked into"
            )
        case "graph":
            return f"what gradients met on their way, because {gap.detail}"
        case "not remembered":
            return ""  # matters only where such a number may have come back
