"""What torch refuses before any backward."""

from __future__ import annotations

from typing import Final

from gradflow.torch_facts.messages.message import Message

__all__ = [
    "FLAG_OF_A_COMPUTED_TENSOR",
    "FLAG_SWITCHED_OFF",
    "HOOKED_OUTPUT_WRITTEN_TO",
    "HOOK_WITHOUT_HISTORY",
    "INFERENCE_TENSOR_FLAGGED",
    "INFERENCE_TENSOR_SAVED",
    "INFERENCE_TENSOR_WRITTEN_TO",
    "LEAF_WRITTEN_TO",
    "NON_LEAF_OPTIMIZED",
    "NUMPY_OF_HISTORY",
    "RETAIN_WITHOUT_HISTORY",
    "VIEW_OF_LEAF_WRITTEN_TO",
    "VIEW_WRITTEN_TO",
    "WHOLE_NUMBERS",
]

LEAF_WRITTEN_TO: Final = Message("leaf Variable that requires grad is being used in an in-place operation")
"""Of a leaf itself, and of a view of one."""
VIEW_OF_LEAF_WRITTEN_TO: Final = Message("a view of a leaf Variable that requires grad")
VIEW_WRITTEN_TO: Final = Message("is a view and is being modified inplace")
HOOKED_OUTPUT_WRITTEN_TO: Final = Message("is being modified inplace", ("BackwardHookFunction",))
FLAG_OF_A_COMPUTED_TENSOR: Final = Message("you can only change requires_grad flags of leaf variables")
FLAG_SWITCHED_OFF: Final = Message("in a subgraph that doesn't require differentiation")
"""How that goes on where the flag was to be switched off."""
WHOLE_NUMBERS: Final = Message("nly Tensors of floating point", ("can require grad",))
"""With a capital letter or without, by the way in which it was asked for."""
NUMPY_OF_HISTORY: Final = Message("Can't call numpy() on Tensor that requires grad")
INFERENCE_TENSOR_SAVED: Final = Message("Inference tensors cannot be saved for backward")
INFERENCE_TENSOR_WRITTEN_TO: Final = Message("Inplace update to inference tensor")
INFERENCE_TENSOR_FLAGGED: Final = Message("Setting requires_grad=True on inference tensor")
HOOK_WITHOUT_HISTORY: Final = Message("cannot register a hook on a tensor that doesn't require gradient")
RETAIN_WITHOUT_HISTORY: Final = Message("can't retain_grad on Tensor that has requires_grad=False")
NON_LEAF_OPTIMIZED: Final = Message("can't optimize a non-leaf Tensor")
