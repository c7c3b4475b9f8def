"""Hooks of the program that stand on the way of a gradient."""
