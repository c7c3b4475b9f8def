"""The plain data that everything speaks of: what ran, in which order, and what lay between; torch-free, no logic."""

from gradflow.recording.calls import CallColumns, ModuleCall, ModuleCalls
from gradflow.recording.columns import Operation, OperationColumns, ValueColumns, ValueMeta
from gradflow.recording.completeness import Completeness, Gap
from gradflow.recording.recording import REGION_CAUSES, Recording
from gradflow.recording.unseen_call import UnseenCall

__all__ = [
    "REGION_CAUSES",
    "CallColumns",
    "Completeness",
    "Gap",
    "ModuleCall",
    "ModuleCalls",
    "Operation",
    "OperationColumns",
    "Recording",
    "UnseenCall",
    "ValueColumns",
    "ValueMeta",
]
