"""Settings that torch and NumPy keep in Python, each with public functions, or a property, to read and to write it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.multiprocessing

from gradflow.torch_facts.settings.flags import Setting
from gradflow.torch_facts.settings.of_thread import validates_distributions

__all__ = ["autocast_settings", "settings_in_python"]

_DEVICES = ("cpu", "cuda", "xpu", "mps", "hpu", "ipu", "xla", "mtia", "maia")


def settings_in_python() -> Iterator[Setting]:
    """Those of torch and, where it is imported, of NumPy."""
    future, mha = torch.__future__, torch.backends.mha
    invariants: Any = torch.sparse.check_sparse_tensor_invariants
    yield _setting(mha.get_fastpath_enabled, mha.set_fastpath_enabled)
    yield _setting(future.get_overwrite_module_params_on_conversion, future.set_overwrite_module_params_on_conversion)
    yield _setting(future.get_swap_module_params_on_conversion, future.set_swap_module_params_on_conversion)
    yield _setting(invariants.is_enabled, lambda found: invariants.enable() if found else invariants.disable())
    yield _setting(torch.multiprocessing.get_sharing_strategy, torch.multiprocessing.set_sharing_strategy)
    yield _setting(validates_distributions, torch.distributions.Distribution.set_default_validate_args)
    yield _property(torch.backends.cudnn, "benchmark_limit")
    yield _property(torch.backends.opt_einsum, "strategy")
    yield _property(torch.backends.opt_einsum, "enabled")
    yield _of_numpy("get_printoptions", lambda numpy, found: numpy.set_printoptions(**found))
    yield _of_numpy("geterr", lambda numpy, found: numpy.seterr(**found))


def autocast_settings() -> Iterator[Setting]:
    """Whether autocast is on, and to which dtype it casts, for each kind of device that this torch knows."""
    for kind in _DEVICES:
        try:
            torch.get_autocast_dtype(kind)
        except RuntimeError:
            continue
        yield _autocast(kind)


def _autocast(kind: str) -> Setting:
    def read() -> tuple[bool, torch.dtype]:
        return torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)

    def write(state: tuple[bool, torch.dtype]) -> None:
        torch.set_autocast_enabled(kind, state[0])
        torch.set_autocast_dtype(kind, state[1])

    return Setting(read, write)


def _setting(read: Callable[[], Any], write: Callable[[Any], object]) -> Setting:
    return Setting(read, write)


def _property(owner: Any, name: str) -> Setting:
    return Setting(lambda: getattr(owner, name), lambda found: setattr(owner, name, found))


def _of_numpy(reading: str, write: Callable[[Any, Any], object]) -> Setting:
    def read() -> Any:
        numpy = sys.modules.get("numpy")
        return None if numpy is None else getattr(numpy, reading)()

    def put_back(found: Any) -> None:
        if found is not None:
            write(sys.modules["numpy"], found)

    return Setting(read, put_back)
