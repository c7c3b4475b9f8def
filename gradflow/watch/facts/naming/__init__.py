"""What the program itself calls its tensors, modules and scores."""
