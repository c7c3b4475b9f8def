"""What gradflow relies on in torch that torch does not promise: one fact to a file, each with a test of its own."""
