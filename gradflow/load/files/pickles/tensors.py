"""Tensors and parameters of a pickle, made only from memory that the file has filled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gradflow.load.files.limits import MOST_SPREAD_BYTES
from gradflow.load.files.pickles.draft import DamagedError, Draft, Name, RefusedError, settled
from gradflow.load.files.pickles.instances import check_attributes
from gradflow.load.files.pickles.storages import StorageReference

__all__ = ["TensorMaker"]

_MOST_AXES = 64
_LARGEST = 2**62


class TensorMaker:
    """What the functions of ``torch._utils`` do for a file, with every argument checked.

    Parameters
    ----------
    file_size
        Bytes of the file: tensors may reach over a few times as much, by being expanded or by sharing memory.
    has_data
        Whether storages hold their numbers when a tensor is made of them.
    """

    def __init__(self, file_size: int, *, has_data: bool = True) -> None:
        self._has_data = has_data
        self._rebuilding: frozenset[Name] = frozenset()
        self._reach_left = 8 * file_size + MOST_SPREAD_BYTES

    def names(self) -> dict[tuple[str, str], Name]:
        """The functions that a pickle may call."""
        rebuilding: dict[tuple[str, str], Callable[[tuple[Any, ...]], Any]] = {
            ("torch._utils", "_rebuild_tensor"): self._tensor,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor_v2,
            ("torch._utils", "_rebuild_tensor_v3"): self._tensor_v3,
            ("torch._utils", "_rebuild_meta_tensor_no_storage"): self._meta_tensor,
            ("torch._utils", "_rebuild_sparse_tensor"): self._sparse_tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
            ("torch._utils", "_rebuild_parameter_with_state"): self._parameter_with_state,
        }
        made = {key: Name(".".join(key), call=call) for key, call in rebuilding.items()}
        self._rebuilding = frozenset(made.values())
        from_type = _named("torch._tensor", "_rebuild_from_type_v2", self._from_type)
        layout = _named("torch.serialization", "_get_layout", _layout)
        return made | {from_type[0]: from_type[1], layout[0]: layout[1], **_kinds()}

    # one function of torch each; the arguments are those of torch

    def _tensor(self, arguments: tuple[Any, ...]) -> torch.Tensor:
        storage, offset, size, stride = _exactly(arguments, 4)
        if not isinstance(storage, StorageReference):
            raise DamagedError("a tensor has no storage")
        return self._over(storage.memory, storage.dtype, offset, size, stride)

    def _tensor_v2(self, arguments: tuple[Any, ...]) -> torch.Tensor:
        storage, offset, size, stride, requires_grad, hooks, *metadata = _exactly(arguments, 6, 7)
        tensor = self._tensor((storage, offset, size, stride))
        return _finished(tensor, requires_grad, hooks, metadata)

    def _tensor_v3(self, arguments: tuple[Any, ...]) -> torch.Tensor:
        storage, offset, size, stride, requires_grad, hooks, dtype, *metadata = _exactly(arguments, 7, 8)
        if not isinstance(storage, StorageReference):
            raise DamagedError("a tensor has no storage")
        tensor = self._over(storage.memory, _dtype(dtype), offset, size, stride)
        return _finished(tensor, requires_grad, hooks, metadata)

    def _meta_tensor(self, arguments: tuple[Any, ...]) -> torch.Tensor:
        dtype, size, stride, requires_grad = _exactly(arguments, 4)
        size, stride = _axes(size), _axes(stride)
        if len(size) != len(stride):
            raise DamagedError("a tensor has not as many strides as sizes")
        _extent(size, stride)
        tensor = torch.empty_strided(size, stride, dtype=_dtype(dtype), device="meta")
        return _finished(tensor, requires_grad, None, [])

    def _sparse_tensor(self, arguments: tuple[Any, ...]) -> torch.Tensor:
        if not self._has_data:
            raise RefusedError("a sparse tensor", "cannot be checked in a file whose numbers come later")
        layout, parts = (settled(argument) for argument in _exactly(arguments, 2))
        if not isinstance(layout, torch.layout) or not isinstance(parts, tuple) or not 3 <= len(parts) <= 4:
            raise DamagedError("a sparse tensor is written in a form that torch does not write")
        is_coo = layout is torch.sparse_coo
        size = _axes(parts[2] if is_coo else parts[-1])
        tensors = parts[:2] if is_coo else parts[:3]
        if not all(type(part) is torch.Tensor for part in tensors):
            raise DamagedError("a part of a sparse tensor is no tensor")
        # the dense size is what whoever unfolds it takes; the indices are looked at one by one
        self._reach(_count(size) * tensors[-1].dtype.itemsize + sum(part.nbytes for part in tensors))
        with _damage_of_values():
            if is_coo:
                indices, values = tensors
                is_coalesced = len(parts) == 4 and parts[3] is True
                return torch.sparse_coo_tensor(
                    indices, values, size, check_invariants=True, is_coalesced=is_coalesced or None
                )
            rows, columns, values = tensors
            return torch.sparse_compressed_tensor(rows, columns, values, size, layout=layout, check_invariants=True)

    def _parameter(self, arguments: tuple[Any, ...]) -> torch.nn.Parameter:
        data, requires_grad, hooks = _exactly(arguments, 3)
        if type(data) is not torch.Tensor or type(requires_grad) is not bool:
            raise DamagedError("a parameter is not made of a tensor")
        _require_no_hooks(hooks)
        with _damage_of_values():
            parameter: torch.nn.Parameter = torch.nn.Parameter(data.detach(), requires_grad)
        return parameter

    def _parameter_with_state(self, arguments: tuple[Any, ...]) -> torch.nn.Parameter:
        data, requires_grad, hooks, state = _exactly(arguments, 4)
        parameter: torch.nn.Parameter = _with_attributes(self._parameter((data, requires_grad, hooks)), settled(state))
        return parameter

    def _from_type(self, arguments: tuple[Any, ...]) -> torch.Tensor:
        """``_rebuild_from_type_v2``: a tensor with attributes. What it calls must be a function of this list."""
        function, kind, inner, state = _exactly(arguments, 4)
        if not isinstance(function, Name) or function not in self._rebuilding or not isinstance(inner, tuple):
            described = function.described if isinstance(function, Draft) else type(function).__name__
            raise RefusedError(described, "is called by the file")
        made = function.call(inner)
        if not isinstance(made, torch.Tensor) or settled(kind) is not type(made):
            raise RefusedError(getattr(kind, "described", "a class"), "is a tensor class that is not restored")
        tensor: torch.Tensor = _with_attributes(made, settled(state))
        return tensor

    # what they share

    def _over(
        self, memory: torch.UntypedStorage, dtype: torch.dtype, offset: Any, size: Any, stride: Any
    ) -> torch.Tensor:
        size, stride = _axes(size), _axes(stride)
        if len(size) != len(stride) or type(offset) is not int or not 0 <= offset < _LARGEST:
            raise DamagedError("a tensor has not as many strides as sizes, or no place in its storage")
        if (offset + _extent(size, stride)) * dtype.itemsize > memory.nbytes():
            raise DamagedError("a tensor reaches beyond its storage")
        self._reach(_count(size) * dtype.itemsize)
        tensor = torch.empty(0, dtype=dtype, device=memory.device)
        with _damage_of_values():
            return tensor.set_(memory, offset, size, stride)

    def _reach(self, size: int) -> None:
        self._reach_left -= size
        if self._reach_left < 0:
            raise DamagedError("its tensors are far larger than what the file holds")


class _damage_of_values:  # noqa: N801 - reads like a function
    """What torch raises for values that do not fit becomes damage of the file."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, (RuntimeError, ValueError, TypeError, IndexError)):
            raise DamagedError(f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}") from error


def _named(module: str, name: str, call: Callable[[tuple[Any, ...]], Any]) -> tuple[tuple[str, str], Name]:
    return (module, name), Name(f"{module}.{name}", call=call)


def _kinds() -> dict[tuple[str, str], Name]:
    """Dtypes, layouts and the two tensor classes, which a file may hold and not call."""
    dtypes = {
        str(dtype).removeprefix("torch."): dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)
    }
    made = {("torch", name): Name(f"torch.{name}", value=dtype) for name, dtype in dtypes.items()}
    made["torch", "Tensor"] = Name("torch.Tensor", value=torch.Tensor)
    made["torch.nn.parameter", "Parameter"] = Name("torch.nn.parameter.Parameter", value=torch.nn.Parameter)
    made["torch", "Size"] = Name("torch.Size", call=lambda arguments: torch.Size(_axes(*_exactly(arguments, 1))))
    made["torch", "device"] = Name("torch.device", call=_device)
    return made


def _device(arguments: tuple[Any, ...]) -> torch.device:
    arguments = settled(arguments)
    if not 1 <= len(arguments) <= 2 or not all(type(part) in (str, int) for part in arguments):
        raise DamagedError("a device has no name")
    with _damage_of_values():
        return torch.device(*arguments)


def _layout(arguments: tuple[Any, ...]) -> torch.layout:
    (name,) = _exactly(arguments, 1)
    layouts = {str(value): value for value in vars(torch).values() if isinstance(value, torch.layout)}
    if name not in layouts:
        raise DamagedError("a tensor has a layout that there is not")
    return layouts[name]


def _exactly(arguments: tuple[Any, ...], *counts: int) -> tuple[Any, ...]:
    if len(arguments) not in counts:
        raise DamagedError("a function of torch is called with another number of arguments")
    return tuple(arguments)


def _axes(value: Any) -> tuple[int, ...]:
    """Sizes or strides: not negative, not absurd."""
    if not isinstance(value, (tuple, list)) or len(value) > _MOST_AXES:
        raise DamagedError("a tensor has no sizes")
    if not all(type(one) is int and 0 <= one < _LARGEST for one in value):
        raise DamagedError("a tensor has a size that there is not")
    return tuple(value)


def _count(size: tuple[int, ...]) -> int:
    count = 1
    for length in size:
        count *= length
    if count >= _LARGEST:
        raise DamagedError("a tensor has more entries than any machine")
    return count


def _extent(size: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """Entries of the storage from the first that the tensor uses to the last."""
    if _count(size) == 0:
        return 0
    extent = 1 + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if extent >= _LARGEST:
        raise DamagedError("a tensor reaches further than any machine")
    return extent


def _dtype(value: Any) -> torch.dtype:
    value = settled(value)
    if not isinstance(value, torch.dtype):
        raise DamagedError("a tensor has no dtype")
    return value


def _finished(tensor: torch.Tensor, requires_grad: Any, hooks: Any, metadata: list[Any]) -> torch.Tensor:
    if type(requires_grad) is not bool:
        raise DamagedError("a tensor does not say whether it requires grad")
    _require_no_hooks(hooks)
    bits = settled(metadata[0]) if metadata else None
    if bits:
        if not isinstance(bits, dict) or not all(
            bit in ("conj", "neg") and type(is_set) is bool for bit, is_set in bits.items()
        ):
            raise DamagedError("a tensor has metadata that torch does not write")
        with _damage_of_values():
            torch._C._set_tensor_metadata(tensor, bits)  # type: ignore[attr-defined]
    with _damage_of_values():
        return tensor.requires_grad_(requires_grad)


def _require_no_hooks(hooks: Any) -> None:
    if hooks is not None and (not isinstance(hooks, dict) or hooks):
        raise RefusedError("a hook of a tensor", "would be called")


def _with_attributes(tensor: Any, state: Any) -> Any:
    if isinstance(state, tuple) and len(state) == 2 and not state[1]:
        state = state[0]
    if state is None:
        return tensor
    check_attributes(type(tensor), state)
    for name, value in state.items():
        setattr(tensor, name, value)
    return tensor
