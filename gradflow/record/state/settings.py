"""The state that torch, NumPy and Python keep per process or thread: random numbers, modes, defaults, global hooks."""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from gradflow.record.state.each import do_each
from gradflow.record.state.python_settings import autocast_settings, settings_in_python
from gradflow.torch_facts.module_machinery import global_hook_tables, machinery
from gradflow.torch_facts.settings import saved_tensor_hooks
from gradflow.torch_facts.settings.flags import Setting, settings_by_pairs
from gradflow.torch_facts.settings.of_thread import default_device, print_options, set_grad_enabled, uses_autocast

__all__ = ["RandomState", "Settings", "generator_states", "seed_generators", "torch_generator_states"]


class RandomState:
    """The default random number generators of torch (every device in use), NumPy (where imported) and Python.

    Nothing is initialised by looking: a device or NumPy that is not in use yet is left alone.
    """

    __slots__ = ("_restorers",)

    def __init__(self) -> None:
        self._restorers: list[Callable[[], object]] = []
        self._remember(random.setstate, random.getstate())
        self._remember(torch.set_rng_state, torch.get_rng_state())
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            self._remember(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
        if torch.backends.mps.is_available():
            self._remember(torch.mps.set_rng_state, torch.mps.get_rng_state())
        if torch.xpu.is_initialized():  # type: ignore[no-untyped-call]
            self._remember(torch.xpu.set_rng_state_all, torch.xpu.get_rng_state_all())
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            self._remember(numpy.random.set_state, numpy.random.get_state(legacy=False))

    def _remember(self, setter: Callable[[Any], object], state: object) -> None:
        self._restorers.append(lambda: setter(state))

    def forget(self) -> None:
        """Let go of the states."""
        self._restorers.clear()

    def restore(self) -> None:
        """Put every generator back; may be called any number of times."""
        do_each(self._restorers)


def generator_states() -> dict[str, object]:
    """What each of these generators stands at, by whose it is; two that are equal have drawn nothing in between."""
    states: dict[str, object] = {"python": random.getstate()}
    states["torch"] = [state.numpy().tobytes() for state in torch_generator_states()]
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        kind, keys, *rest = numpy.random.get_state()
        states["numpy"] = (kind, keys.tobytes(), *rest)
    return states


def torch_generator_states() -> list[torch.Tensor]:
    """The same of torch's own, one for each device."""
    states = [torch.get_rng_state()]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states += torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        states.append(torch.mps.get_rng_state())
    if torch.xpu.is_initialized():  # type: ignore[no-untyped-call]
        states += torch.xpu.get_rng_state_all()
    return states


def seed_generators(seed: int) -> None:
    """Let the generators that :class:`RandomState` puts back draw other numbers from here on."""
    random.seed(seed)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)
    if torch.xpu.is_initialized():  # type: ignore[no-untyped-call]
        torch.xpu.manual_seed_all(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed)


_GRAD_MODE = Setting(torch.is_grad_enabled, set_grad_enabled)
_SETTINGS = (
    _GRAD_MODE,
    Setting(torch.get_default_dtype, torch.set_default_dtype),
    Setting(default_device, torch.set_default_device),
    Setting(
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda found: torch.use_deterministic_algorithms(found[0], warn_only=found[1]),
    ),
    Setting(
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda found: torch.set_anomaly_enabled(*found),
    ),
    Setting(torch.get_num_threads, torch.set_num_threads),
    Setting(torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    Setting(saved_tensor_hooks.top_hooks, saved_tensor_hooks.put_back),
    Setting(lambda: dict(print_options()), print_options().update),
    *settings_by_pairs(),
    *settings_in_python(),
    *autocast_settings(),
)

_GLOBAL_HOOKS = tuple(global_hook_tables().values())


class Settings:
    """Modes, defaults and hooks that hold for the whole process or thread.

    Grad mode, default dtype and device, deterministic algorithms, anomaly mode, autocast, number of threads,
    precisions, backends, print options, saved-tensor hooks and the hooks on all modules; print options and error
    handling of NumPy. A setting is written only when it was changed.
    """

    __slots__ = ("_found", "_global_hooks", "_is_full_backward_hook")

    def __init__(self) -> None:
        self._found = [setting.read() for setting in _SETTINGS]
        self._global_hooks = [dict(hooks) for hooks in _GLOBAL_HOOKS]
        self._is_full_backward_hook = machinery._global_is_full_backward_hook

    def rewind(self) -> None:
        """Put back what a run has set: all but the grad mode, which ``with`` statements around a run set, and hooks."""
        do_each(self._writers(one for one in _SETTINGS if one is not _GRAD_MODE))

    def restore(self) -> None:
        """Put back every setting that is not as it was found."""
        do_each((*self._writers(_SETTINGS), self._put_hooks_back, _forget_casts))

    def _writers(self, settings: Iterable[Setting]) -> Iterator[Callable[[], None]]:
        found = dict(zip(_SETTINGS, self._found, strict=True))
        return (functools.partial(_put_back, setting, found[setting]) for setting in settings)

    def _put_hooks_back(self) -> None:
        for hooks, found_hooks in zip(_GLOBAL_HOOKS, self._global_hooks, strict=True):
            if list(hooks.items()) != list(found_hooks.items()):
                hooks.clear()
                hooks.update(found_hooks)
        machinery._global_is_full_backward_hook = self._is_full_backward_hook


def _put_back(setting: Setting, found: Any) -> None:
    if setting.read() != found:
        setting.write(found)


def _forget_casts() -> None:
    """Casts of the weights that the run has cached would keep its graph alive inside the caller's autocast block."""
    if uses_autocast():
        torch.clear_autocast_cache()
