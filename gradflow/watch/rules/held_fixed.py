"""A teacher, or another network that is only asked: that its parameters get no gradient is meant."""

from __future__ import annotations

from gradflow.watch.observation import Observation

__all__ = ["RECORDING_OFF", "is_held_fixed"]

RECORDING_OFF = frozenset({"no-grad", "inference-mode"})
"""The causes by which it gets none."""


def is_held_fixed(observation: Observation, parameter: int) -> bool:
    """Whether its network only ever runs in eval mode, and optimizers step that hold none of its parameters."""
    called, modules = set(observation.program.call_modules), observation.program.modules
    owner = next((m for m in modules.values() if m.key in called and parameter in m.parameters), None)
    if owner is None:
        return False
    root = owner.root if owner.root in modules else owner.key
    family = [module for module in modules.values() if root in (module.key, module.root)]
    held = {value for module in family for value in module.parameters}
    trained = [optimizer for optimizer in observation.program.optimizers if optimizer.steps]
    if not trained or any(module.ran_training for module in family):
        return False
    return not any(held.intersection(optimizer.parameters) for optimizer in trained)
