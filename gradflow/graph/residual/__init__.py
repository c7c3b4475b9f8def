"""Skip connections, and the branches that they go around."""
