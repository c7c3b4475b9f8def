"""The scalar that is differentiated, made from what the model returned."""
