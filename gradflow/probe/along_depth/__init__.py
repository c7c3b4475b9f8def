"""How gradients change along the depth of a network."""
