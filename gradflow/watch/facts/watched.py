"""How much of a program was watched, and what of it was not."""

from __future__ import annotations

from collections.abc import Collection

from gradflow.recording import Gap
from gradflow.recording.completeness import Event
from gradflow.watch.observation import Observation

__all__ = ["counted", "is_seen_to_the_end", "may_be_elsewhere", "not_watched", "watched_text"]

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
    words = [counted(count, noun) for count, noun in parts if count]
    words = words or ["no torch operation"]
    words += [f"ended by {failure.type_name}" for failure in observation.program.failures if failure.is_last]
    return ", ".join(words)


_PLURALS = {"leaf": "leaves"}


def counted(count: int, noun: str) -> str:
    """``1 hook``, ``2 leaves``, ``1,000 backward passes``."""
    plural = _PLURALS.get(noun, f"{noun}{'es' if noun.endswith('s') else 's'}")
    return f"{count:,} {noun if count == 1 else plural}"


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
    gaps = observation.recording.completeness.gaps
    return tuple(dict.fromkeys(filter(None, (_in_words(observation, gap) for gap in gaps))))


def may_be_elsewhere(observation: Observation, *events: Event, of: Collection[int] | None = None) -> bool:
    """Whether other threads or processes may have done what was not seen here, up to where it was looked."""
    lacks = observation.recording.completeness.lacks
    return any(gap.why in ("another thread", "another process") for event in events for gap in lacks(event, of=of))


def _elsewhere(gap: Gap) -> str:
    """Passes and steps; what else ran there is told where it is asked about."""
    events = gap.events or frozenset()
    if not events & {"backward passes", "steps"}:
        return ""
    is_step = "steps" in events
    what = f"{counted(gap.missed, 'optimizer step')} did" if is_step else f"{counted(gap.missed, _BACKWARD)} met"
    return f"what {what} in other threads: only the thread that starts the program is watched"


def _in_words(observation: Observation, gap: Gap) -> str:
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
            is_asked = gap.events and gap.reaches(_parameters(observation))
            return f"{shared}: only the process that runs the program is watched" if is_asked else ""
        case "transform":
            return (
                "what gradients met that torch computed by itself: `torch.func` and `torch.autograd.functional` are "
                "not looked into"
            )
        case "graph":
            return f"what gradients met on their way, because {gap.detail}"
        case "not remembered" | "out of sight":
            return ""  # matters only where such a number may have come back, or such a tensor is asked about


def _parameters(observation: Observation) -> set[int]:
    """What is there to be trained: parameters of modules, and what an optimizer holds; no inputs."""
    modules = (value for module in observation.program.modules.values() for value in module.parameters)
    return {*modules, *(value for optimizer in observation.program.optimizers for value in optimizer.parameters)}
