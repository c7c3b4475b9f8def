"""What belongs to a tensor and its memory, and how both are put back without autograd noticing."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

import torch
from torch import Tensor

from gradflow.record.state.fingerprints import fingerprint
from gradflow.torch_facts.storages import address_of, looks_at_same
from gradflow.torch_facts.versions import is_traceable_wrapper_subclass, set_versions

__all__ = ["Memory", "TensorState", "has_values", "memory_of", "restore_versions", "wrapped_tensors"]

_PLAIN_TYPES = frozenset({Tensor, torch.nn.Parameter, torch.nn.Buffer})
SMALL_BYTES = 4096


def wrapped_tensors(tensor: Tensor) -> list[Tensor]:
    """The tensors that hold the values of a wrapper subclass (``DTensor``, quantized weights); else none."""
    if type(tensor) in _PLAIN_TYPES or not is_traceable_wrapper_subclass(tensor):
        return []
    names, _ = tensor.__tensor_flatten__()
    return [getattr(tensor, name) for name in names]


def memory_of(tensor: Tensor) -> torch.UntypedStorage | None:
    """The storage of a tensor, or ``None`` where it has none with values in it (sparse, meta, fake, a wrapper)."""
    try:
        storage = tensor.untyped_storage()
    except (RuntimeError, NotImplementedError):
        return None
    return None if storage.device.type == "meta" or address_of(storage) is None else storage


def has_values(tensor: Tensor) -> bool:
    """Whether there are values that a write could change: not on the meta device, not in fake tensors."""
    try:
        return tensor.untyped_storage().device.type != "meta"
    except (RuntimeError, NotImplementedError):
        return True


class Memory:
    """One storage, copied at the latest before it is first written to.

    Bytes are copied, not elements, so that NaN payloads and the sign of zero survive; nothing is written back where
    nothing has changed, so that read-only mappings of files are safe.

    Attributes
    ----------
    is_foreign
        Whether torch has not allocated it itself: it is the memory of an array or of a file, which others may write to.
    is_late
        Whether it was written to already when it was copied.
    is_lost
        Whether it was found changed without a copy to put back.
    """

    __slots__ = ("_bytes", "_fingerprint", "_saved", "byte_count", "is_foreign", "is_late", "is_lost", "storage")

    def __init__(self, storage: torch.UntypedStorage) -> None:
        self.storage = storage  # held, so that its address cannot be given to another storage meanwhile
        self.byte_count = storage.nbytes()
        self.is_foreign = not storage.resizable()
        self.is_late = False
        self.is_lost = False
        self._bytes: Tensor | None = None
        self._saved: Tensor | bytes | None = None
        self._fingerprint: int | None = None

    @property
    def is_saved(self) -> bool:
        """Whether the bytes as found are at hand."""
        return (self._saved is not None and not self.is_late) or self.byte_count == 0

    @property
    def is_small(self) -> bool:
        """Whether a copy costs less than to find out whether one is needed."""
        return self.byte_count <= SMALL_BYTES and self.storage.device.type == "cpu"

    def save(self) -> None:
        """Copy the bytes, unless that has been done."""
        if self._saved is not None or not self._has_address():
            return
        self.is_late = self.is_late or self._is_changed()
        if self.is_small:
            self._saved = ctypes.string_at(self.storage.data_ptr(), self.byte_count)
        else:
            self._bytes = _bytes_of(self.storage)
            self._saved = self._bytes.clone()

    def note(self) -> None:
        """Note what a copy would be compared with, where there is none."""
        if self._saved is None and self._has_address():
            self._fingerprint = fingerprint(_bytes_of(self.storage))

    def look(self) -> None:
        """Whether what was not copied is what it was."""
        self.is_lost = self._saved is None and self._is_changed()

    def restore(self) -> None:
        """Write the bytes back if they were saved and have changed."""
        if self._saved is None:
            return
        if self.storage.nbytes() != self.byte_count:
            self.storage.resize_(self.byte_count)
            self._bytes = None
        if isinstance(self._saved, bytes):
            if ctypes.string_at(address := self.storage.data_ptr(), self.byte_count) != self._saved:
                ctypes.memmove(address, self._saved, self.byte_count)
            return
        if self._bytes is None:
            self._bytes = _bytes_of(self.storage)
        if not torch.equal(self._bytes, self._saved):
            self._bytes.copy_(self._saved)

    def _has_address(self) -> bool:
        return bool(self.byte_count and address_of(self.storage))

    def _is_changed(self) -> bool:
        """Whether the bytes are other ones than those that were noted."""
        if self._fingerprint is None:
            return False
        return self.storage.nbytes() != self.byte_count or fingerprint(_bytes_of(self.storage)) != self._fingerprint


def _bytes_of(storage: torch.UntypedStorage) -> Tensor:
    return torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)


class TensorState:
    """Everything about a tensor object except the bytes of its storage.

    ``.grad`` and hooks, ``requires_grad``, being a leaf, the class, and which memory it looks at, which
    ``tensor.data = ...`` changes.
    """

    __slots__ = ("_alias", "_class", "_grad", "_hooks", "_is_leaf", "_requires_grad", "memory", "tensor", "version")

    def __init__(self, tensor: Tensor, memory: Memory | None) -> None:
        self.tensor = tensor
        self.memory = memory
        self.version: int | None = None if tensor.is_inference() else tensor._version
        self._class = type(tensor)
        self._alias = tensor.data if memory is not None else None
        self._requires_grad = tensor.requires_grad
        self._is_leaf = tensor.is_leaf
        self._grad = tensor.grad if self._is_leaf or tensor.retains_grad else None
        hooks = (tensor._backward_hooks, tensor._post_accumulate_grad_hooks)
        self._hooks = tuple(dict(found) if found else {} for found in hooks) if any(hooks) else None

    @property
    def grad(self) -> Tensor | None:
        """The ``.grad`` that was found."""
        return self._grad

    @property
    def is_written(self) -> bool:
        """Whether an in-place operation has written to the tensor since it was found."""
        return self.version is not None and self.tensor._version != self.version

    def restore_memory(self) -> None:
        """Make the tensor look at its own memory again, with the class, shape and strides it had."""
        tensor = self.tensor
        if type(tensor) is not self._class:
            tensor.__class__ = self._class  # a lazy module's parameter changes its class when it gets its shape
        if self._alias is not None and not looks_at_same(tensor, self._alias):
            tensor.data = self._alias

    def forget_history(self) -> None:
        """Make a leaf again of what was one, and has a history now because a run wrote to it in place."""
        if self._is_leaf and not self.tensor.is_leaf and not self.tensor._is_view():
            self.tensor.detach_()

    def restore_autograd(self) -> bool:
        """Put back what autograd knows of the tensor; ``False`` where torch has no way to do so."""
        tensor = self.tensor
        if self._is_leaf:
            if not tensor.is_leaf:
                if tensor._is_view():
                    return False  # torch refuses to detach a view in place
                tensor.detach_()
            if tensor.requires_grad != self._requires_grad:
                tensor.requires_grad_(self._requires_grad)
            if tensor.grad is not self._grad:
                tensor.grad = self._grad
        elif self.is_written and tensor.requires_grad:
            return False  # its history now contains operations of the run
        return True

    def restore_hooks(self) -> None:
        """Remove hooks that were added to the tensor, put back those that were removed."""
        found_hooks = self._hooks or ({}, {})
        current = (self.tensor._backward_hooks, self.tensor._post_accumulate_grad_hooks)
        for hooks, found in zip(current, found_hooks, strict=True):
            if hooks is not None and dict(hooks) != found:
                hooks.clear()
                hooks.update(found)


def restore_versions(states: Iterable[TensorState]) -> None:
    """Set version counters back to what they were.

    Only for tensors whose values are bit for bit as they were: a graph that the caller built before and has not yet
    differentiated would otherwise refuse its backward pass because of writes that have been undone.
    """
    written = [state for state in states if state.is_written]
    if written:
        tensors = tuple(state.tensor for state in written)
        versions = tuple(state.version for state in written if state.version is not None)
        set_versions(tensors, versions)
