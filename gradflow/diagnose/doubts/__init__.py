"""What is not determined about a target, and the reason that is told."""
