"""What the numbers of the forward pass say about a gradient."""
