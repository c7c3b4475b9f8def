"""What hooks of the program do to gradients."""
