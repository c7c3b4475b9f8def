"""Explains the user's own running program: what it asked of autograd, what it got, and why."""
