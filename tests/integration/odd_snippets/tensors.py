"""Tensor classes of the program's own, and tensors of unusual kinds."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import weakref
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.masked import masked_tensor

from tests.integration.odd_snippets import snippet


@snippet
def a_class_that_counts_what_it_is_asked():
    asked = []

    class Counting(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            asked.append(getattr(func, "__name__", str(func)))
            return super().__torch_function__(func, types, args, kwargs or {})

    x = torch.ones(2, 2).as_subclass(Counting).requires_grad_()
    nn.Linear(2, 2)(x).relu().sum().backward()
    return asked, type(x.grad).__name__


@snippet
def a_class_that_refuses_all_but_two():
    class Units(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func not in (torch.add, torch.Tensor.add, torch.Tensor.sum):
                raise NotImplementedError(f"no {func.__name__}")
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))

    x = torch.ones(2).as_subclass(Units)
    total = torch.add(x, 1).sum()
    with torch._C.DisableTorchFunctionSubclass():
        return total.item()


@snippet
def a_class_whose_properties_raise():
    class Shy(torch.Tensor):
        @property
        def shape(self) -> Any:
            raise RuntimeError("no shape")

        @property
        def dtype(self) -> Any:
            raise RuntimeError("no type")

        @property
        def requires_grad(self) -> Any:
            raise RuntimeError("no flag")

    return type(torch.ones(2).as_subclass(Shy) * 2).__name__


@snippet
def a_class_with_its_own_dispatch():
    seen = []

    class Wrapped(torch.Tensor):
        @staticmethod
        def __new__(cls, inner: torch.Tensor, requires_grad: bool = False) -> Any:
            return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype, requires_grad=requires_grad)

        def __init__(self, inner: torch.Tensor, requires_grad: bool = False) -> None:
            self.inner = inner

        @classmethod
        def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(str(func))
            plain = [one.inner if isinstance(one, Wrapped) else one for one in args]
            out = func(*plain, **(kwargs or {}))
            return Wrapped(out) if isinstance(out, torch.Tensor) else out

    x = Wrapped(torch.ones(2), requires_grad=True)
    (x * 3).sum().backward()
    return seen, type(x.grad).__name__, x.grad.inner.tolist()


@snippet
def a_masked_tensor():
    x = masked_tensor(torch.arange(3.0), torch.tensor([True, False, True]), requires_grad=True)
    (x * 2).sum().backward()
    return str(x.grad)


@snippet
def a_jagged_tensor():
    rows = [torch.ones(2, 3), torch.ones(4, 3)]
    batch = torch.nested.nested_tensor(rows, layout=torch.jagged, requires_grad=True)
    net = nn.Linear(3, 2)
    net(batch).values().sum().backward()
    return net.weight.grad.sum().item(), type(batch.grad).__name__


@snippet
def an_older_nested_tensor():
    batch = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], requires_grad=True)
    torch.nested.to_padded_tensor(batch * 2, 0.0).sum().backward()
    return [part.tolist() for part in batch.grad.unbind()]


@snippet
def rows_in_compressed_form():
    w = torch.eye(3, dtype=torch.double).to_sparse_csr().requires_grad_()
    out = w.to_sparse_csc()
    out.backward(out.detach())
    return str(w.grad.layout), w.grad.to_dense().tolist()


@snippet
def a_sparse_product():
    a = torch.eye(3).to_sparse().requires_grad_()
    b = torch.ones(3, 2, requires_grad=True)
    torch.sparse.mm(a, b).sum().backward()
    return a.grad.is_sparse, b.grad.tolist()


@snippet
def an_embedding_with_sparse_rows():
    table = nn.Embedding(5, 3, sparse=True)
    optimizer = torch.optim.SparseAdam(table.parameters())
    table(torch.tensor([1, 2, 2])).sum().backward()
    optimizer.step()
    return str(table.weight.grad.layout), table.weight.sum().item()


@snippet
def complex_numbers():
    z = torch.tensor([3 + 4j], requires_grad=True)
    torch.view_as_real(z * z.conj()).sum().backward()
    return z.grad.tolist(), torch.conj(z).is_conj()


@snippet
def eight_bits_and_back():
    x = torch.ones(3, requires_grad=True)
    x.to(torch.float8_e4m3fn).to(torch.float32).sum().backward()
    return x.grad.tolist()


@snippet
def quantized_numbers():
    q = torch.quantize_per_tensor(torch.arange(3.0), 0.5, 0, torch.qint8)
    return q.int_repr().tolist(), q.dequantize().tolist()


@snippet
def no_entries_at_all():
    x = torch.ones(0, 3, requires_grad=True)
    (x * 2).sum().backward()
    return tuple(x.grad.shape)


@snippet
def the_meta_device():
    net = nn.Linear(3, 2, device="meta")
    net(torch.ones(4, 3, device="meta")).sum().backward()
    return tuple(net.weight.grad.shape), str(net.weight.grad.device)


@snippet
def names_of_dimensions():
    x = torch.ones(2, 3, names=("row", "column"))
    return x.sum("row").names


@snippet
def swapped_tensors():
    a, b = torch.ones(2), torch.zeros(3)
    total = (a * 2).sum() + b.sum()
    torch.utils.swap_tensors(a, b)
    return total.item(), a.tolist(), (b * 3).tolist()


@snippet
def parameters_that_are_swapped_by_a_conversion():
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        net = nn.Linear(2, 2)
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        net(torch.ones(1, 2)).sum().backward()
        net.zero_grad()
        net.double()
        net(torch.ones(1, 2, dtype=torch.double)).sum().backward()
        optimizer.step()
        return str(net.weight.dtype), net.weight.grad.tolist()
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


@snippet
def data_that_is_no_tensor():
    x = torch.ones(2, requires_grad=True)
    x.data = None


@snippet
def data_of_another_type():
    x = torch.ones(2, requires_grad=True)
    x.data = torch.ones(2, dtype=torch.int64)


@snippet
def data_of_another_shape():
    x = torch.ones(2, requires_grad=True)
    x.data = torch.zeros(3)
    (x * 2).sum().backward()
    return x.grad.tolist()


@snippet
def the_gradient_is_set_deleted_and_added_to():
    x = torch.ones(2, requires_grad=True)
    x.grad = torch.ones(2)
    x.grad += 1
    (x * 3).sum().backward()
    kept = x.grad.tolist()
    del x.grad
    return kept, x.grad


@snippet
def a_gradient_of_the_wrong_shape():
    x = torch.ones(2, requires_grad=True)
    x.grad = torch.ones(3)


@snippet
def a_leaf_is_freed_at_once():
    enabled = gc.isenabled()
    gc.disable()
    try:
        image = torch.zeros(3, requires_grad=True)
        (image * 2).sum().backward()
        reference = weakref.ref(image)
        del image
        return reference() is None
    finally:
        if enabled:
            gc.enable()


@snippet
def a_leaf_is_freed_after_an_error():
    enabled = gc.isenabled()
    gc.disable()
    try:
        image = torch.zeros(3, requires_grad=True)
        with contextlib.suppress(TypeError):
            torch.cat([image, "rubbish"])
        reference = weakref.ref(image)
        del image
        return reference() is None
    finally:
        if enabled:
            gc.enable()


@snippet
def attributes_and_copies_of_a_tensor():
    x = torch.ones(2, requires_grad=True)
    x.note = "mine"
    other = copy.deepcopy(x)
    again = pickle.loads(pickle.dumps(x))
    return other.note, again.note, sorted(vars(x)), other is x


@snippet
def numpy_on_both_sides():
    x = torch.arange(3.0)
    array = x.numpy()
    array += 1
    return x.tolist(), type(np.ones(3) * x).__name__, float(np.sum(x)), np.asarray(x).base is not None


@snippet
def an_array_class_of_the_program():
    class Tagged(np.ndarray):
        @property
        def base(self) -> Any:
            raise RuntimeError("none of your business")

    return torch.as_tensor(np.ones(2).view(Tagged)).tolist()


@snippet
def a_list_that_counts_its_readers():
    class Counting(list[Any]):
        reads = 0

        def __iter__(self) -> Any:
            self.reads += 1
            return super().__iter__()

        def __bool__(self) -> bool:
            self.reads += 1
            return True

    parts = Counting([torch.ones(1), torch.ones(1)])
    return torch.cat(parts).tolist(), parts.reads
