"""What is missing from a gradient that arrives."""
