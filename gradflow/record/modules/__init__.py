"""Calls of modules: one class follows them, and each of its observers notes one thing of them."""
