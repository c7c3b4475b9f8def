"""What is said of parameters that no finding speaks of."""
