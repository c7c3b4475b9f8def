"""What the step of an optimizer does to what it holds."""
