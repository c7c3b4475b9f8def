"""What becomes of parameters that hang on a model without being registered."""
