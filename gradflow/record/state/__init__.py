"""What a run changes in the model and in torch, and how it is put back."""

from gradflow.record.state.keeper import StateKeeper, preserved

__all__ = ["StateKeeper", "preserved"]
