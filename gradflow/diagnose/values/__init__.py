"""Words for what the values on the way do to a gradient."""
