"""The model's input: given, guessed, or made of a picture."""
