"""The backward pass that the runs of a check end with."""
