"""Follows values through the source of a whole program: calls are entered, attributes belong to their objects."""
