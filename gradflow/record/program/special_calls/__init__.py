"""Calls that run without any of gradflow inside, and calls whose effect on tensors must be followed."""
