"""A backward that raised."""
