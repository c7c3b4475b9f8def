"""Runs that differ from the first one on purpose: by other random draws."""
