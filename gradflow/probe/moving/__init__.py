"""Experiments: other values for a target, and what comes of it."""
