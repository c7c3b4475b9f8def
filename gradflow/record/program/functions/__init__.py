"""Custom Functions that keep something outside of their context."""
