"""A run before the run: whether a model from an unknown file stays within bounds, before it takes any room."""
