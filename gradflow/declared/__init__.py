"""Models that a project declares in its ``pyproject.toml``, what is expected of their gradients, and the lock."""
