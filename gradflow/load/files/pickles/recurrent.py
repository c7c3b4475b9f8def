"""Recurrent layers, whose weights torch hands to a kernel that trusts the sizes beside them."""

from __future__ import annotations

from typing import Any

from torch import nn

from gradflow.load.files.pickles.draft import DamagedError

__all__ = ["check_recurrent", "require_named_weights"]


def require_named_weights(cls: type, state: dict[str, Any]) -> None:
    """Before it is restored: names of weights as torch writes them since 1.0.

    Without them the class itself makes them, in a loop as long as the file says.

    Raises
    ------
    DamagedError
        When they are missing.
    """
    if not issubclass(cls, nn.RNNBase):
        return
    names: Any = state.get("_all_weights")
    has_names = isinstance(names, list) and bool(names) and isinstance(names[0], list) and bool(names[0])
    if not has_names or not isinstance(names[0][0], str) or not isinstance(state.get("_flat_weights"), list):
        raise DamagedError(f"a `{cls.__qualname__}` does not name its weights")


def check_recurrent(module: nn.RNNBase) -> None:
    """Afterwards: its weights are those that a layer of its sizes has.

    Raises
    ------
    DamagedError
        When they are not; the kernel would read beyond them.
    """
    what = f"the weights of a `{type(module).__qualname__}`"
    count = module.num_layers
    if type(count) is not int or not 0 < count <= len(module._parameters):
        raise DamagedError(f"{what} are not those of {str(count)[:20]} layers")
    usual = nn.RNNBase(
        module.mode,
        module.input_size,
        module.hidden_size,
        count,
        bias=module.bias,
        batch_first=module.batch_first,
        bidirectional=module.bidirectional,
        proj_size=module.proj_size,
        device="meta",
    )
    shapes = {name: tuple(weight.shape) for name, weight in usual.named_parameters()}
    found = {name: tuple(weight.shape) for name, weight in module._parameters.items() if weight is not None}
    if found != shapes or module._flat_weights_names != usual._flat_weights_names:
        raise DamagedError(f"{what} have other sizes than it says")
    # what runs is this list, not the parameters
    if [id(weight) for weight in module._flat_weights] != [id(module._parameters[name]) for name in shapes]:
        raise DamagedError(f"{what} are not the ones that it uses")
