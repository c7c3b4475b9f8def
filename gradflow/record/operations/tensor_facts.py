"""Facts about a tensor, asked past its class and past all modes: nobody but gradflow sees that it looked.

A class of the program's own may refuse, print or count what it is asked, and so may its modes; a property may even
shadow torch's. So the attributes are those of torch's own base class, read while nothing of Python's is dispatched to.
"""

from __future__ import annotations

import torch
from torch.nn.parameter import is_lazy

from gradflow.torch_facts.function_modes import modes_on_stack, unseen
from gradflow.torch_facts.storages import StorageWeakRef, weakly
from gradflow.torch_facts.tensor_slots import getter, is_alias_of, method
from gradflow.torch_facts.transforms import is_wrapper

__all__ = [
    "PLAIN_CLASSES",
    "SCALARS",
    "base_of",
    "dtype_of",
    "gradient_of",
    "has_memory_of_torch",
    "has_readable_numbers",
    "is_inference",
    "is_leaf",
    "is_on_meta",
    "is_shared",
    "is_view",
    "lies_in",
    "passes_gradient",
    "requires_grad",
    "retains_grad",
    "shape_of",
    "shares_memory",
    "storage_held",
    "storage_of",
    "storage_pointer",
    "version_of",
]

PLAIN_CLASSES = frozenset({torch.Tensor, torch.nn.Parameter, torch.nn.Buffer})
"""Classes whose attributes are torch's own."""

SCALARS = frozenset({
    int, float, complex, bool, str, type(None),
    torch.Size, torch.dtype, torch.device, torch.layout, torch.memory_format,
})  # fmt: skip
"""What an operation is given besides tensors, and what holds none."""

_DTYPE, _REQUIRES_GRAD, _IS_LEAF = map(getter, ("dtype", "requires_grad", "is_leaf"))
_SHAPE, _GRAD, _RETAINS = map(getter, ("shape", "grad", "retains_grad"))
_VERSION, _IS_NESTED, _IS_META, _VIEW_BASE = map(getter, ("_version", "is_nested", "is_meta", "_base"))
_SIZE, _DIM, _IS_VIEW, _STORAGE = map(method, ("size", "dim", "_is_view", "untyped_storage"))
_IS_INFERENCE = method("is_inference")


def is_on_meta(tensor: torch.Tensor) -> bool:
    """``tensor.is_meta``."""
    with unseen():
        return bool(_IS_META(tensor))


def requires_grad(tensor: torch.Tensor) -> bool:
    """``tensor.requires_grad``."""
    if type(tensor) in PLAIN_CLASSES and not modes_on_stack():
        return tensor.requires_grad  # asked for all values of a run
    with unseen():
        return bool(_REQUIRES_GRAD(tensor))


def is_leaf(tensor: torch.Tensor) -> bool:
    """Like ``tensor.is_leaf``, which raises of a view made under ``no_grad`` once its base has been written to."""
    try:
        if type(tensor) in PLAIN_CLASSES and not modes_on_stack():
            return tensor.is_leaf  # asked for all values of a run
        with unseen():
            return bool(_IS_LEAF(tensor))
    except RuntimeError:
        return False


def retains_grad(tensor: torch.Tensor) -> bool:
    """``tensor.retains_grad``."""
    with unseen():
        return bool(_RETAINS(tensor))


def dtype_of(tensor: torch.Tensor) -> torch.dtype:
    """``tensor.dtype``."""
    with unseen():
        found: torch.dtype = _DTYPE(tensor)
    return found


def gradient_of(tensor: torch.Tensor) -> torch.Tensor | None:
    """``tensor.grad``."""
    with unseen():
        found: torch.Tensor | None = _GRAD(tensor)
    return found


def version_of(tensor: torch.Tensor) -> int:
    """The version counter; -1 for a tensor without one, made in inference mode."""
    if type(tensor) in PLAIN_CLASSES and not modes_on_stack():
        return -1 if tensor.is_inference() else tensor._version  # asked for what every operation writes to
    with unseen():
        return -1 if _IS_INFERENCE(tensor) else int(_VERSION(tensor))


def is_inference(tensor: torch.Tensor) -> bool:
    """Whether a tensor was made in inference mode."""
    with unseen():
        return bool(_IS_INFERENCE(tensor))


def passes_gradient(tensor: torch.Tensor) -> bool:
    """Whether autograd records what is computed from a tensor: of one made in inference mode it never does."""
    with unseen():
        return bool(_REQUIRES_GRAD(tensor)) and not _IS_INFERENCE(tensor)


def is_view(tensor: torch.Tensor) -> bool:
    """Whether autograd calls a tensor a view of another one."""
    if type(tensor) in PLAIN_CLASSES and not modes_on_stack():
        return bool(tensor._is_view())  # asked for the result of every operation: nobody is there to see it
    with unseen():
        return bool(_IS_VIEW(tensor))


def base_of(tensor: torch.Tensor) -> torch.Tensor | None:
    """``tensor._base``: what autograd calls a tensor a view of, which an operation may have made and kept to itself."""
    if type(tensor) in PLAIN_CLASSES and not modes_on_stack():
        return tensor._base  # asked for the result of every second operation
    with unseen():
        found: torch.Tensor | None = _VIEW_BASE(tensor)
    return found


def shares_memory(tensor: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors lie in one storage; not so where one of them has none."""
    try:
        return bool(is_alias_of(tensor, other))
    except (RuntimeError, NotImplementedError):
        return False


def lies_in(tensor: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether a tensor lies in the memory of another, also by way of an array, which makes a storage of its own."""
    if shares_memory(tensor, other):
        return True
    start, there = storage_pointer(other), storage_pointer(tensor)
    if not start or not there:
        return False
    with unseen():
        return start <= there < start + int(_STORAGE(other).nbytes())


def has_memory_of_torch(tensor: torch.Tensor) -> bool:
    """Whether a tensor's own storage is where its numbers lie: not so of one that wraps another tensor."""
    is_torchs_own = type(tensor) in PLAIN_CLASSES or type(tensor).__torch_dispatch__ == torch.Tensor.__torch_dispatch__
    return is_torchs_own and not is_wrapper(tensor)


def storage_of(tensor: torch.Tensor) -> int:
    """A number for the storage that a tensor lies in, while that lives; 0 for a tensor without one."""
    with unseen():
        try:
            return int(_STORAGE(tensor)._cdata)
        except (RuntimeError, NotImplementedError):
            return 0


def is_shared(tensor: torch.Tensor) -> bool:
    """Whether a tensor lies where other processes may read and write: what is on a device always says so of itself."""
    with unseen():
        try:
            storage = _STORAGE(tensor)
            return storage.device.type == "cpu" and bool(storage.is_shared())
        except (RuntimeError, NotImplementedError):
            return False


def storage_held(tensor: torch.Tensor) -> StorageWeakRef | None:
    """A weak reference to the storage that a tensor lies in; ``None`` for a tensor without one."""
    with unseen():
        try:
            return weakly(_STORAGE(tensor))
        except (RuntimeError, NotImplementedError):
            return None


def storage_pointer(tensor: torch.Tensor) -> int:
    """The address of a tensor's memory; 0 for one that has none of its own."""
    with unseen():
        try:
            return int(_STORAGE(tensor).data_ptr())
        except (RuntimeError, NotImplementedError):
            return 0


def shape_of(tensor: torch.Tensor) -> tuple[int, ...]:
    """The shape; -1 along what differs between the parts of a nested tensor, and where it is a symbol."""
    if is_lazy(tensor):
        return ()
    with unseen():
        if not _IS_NESTED(tensor):
            return tuple(size if type(size) is int else -1 for size in _SHAPE(tensor))
        return tuple(_size(tensor, dimension) for dimension in range(_DIM(tensor)))


def _size(nested: torch.Tensor, dimension: int) -> int:
    try:
        size = _SIZE(nested, dimension)
    except RuntimeError:
        # the older layout refuses to answer, the newer one gives a symbol
        return -1
    return size if type(size) is int else -1


def has_readable_numbers(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds numbers that torch alone can compute with, outside all modes and transforms.

    Not so on the meta device, under a transform such as ``vmap``, and for a class whose own Python says what its
    operations do: a fake tensor has no numbers, and others would see that somebody computes.
    """
    if is_lazy(tensor):
        return False
    is_torchs_own = type(tensor).__torch_dispatch__ == torch.Tensor.__torch_dispatch__
    with unseen():
        return (is_torchs_own or bool(_IS_NESTED(tensor))) and not (_IS_META(tensor) or is_wrapper(tensor))
