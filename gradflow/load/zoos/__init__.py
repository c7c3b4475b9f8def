"""Ready-made models by name."""
