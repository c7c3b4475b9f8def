"""The hooks of the program: they stay the objects that they are, and what torch calls is seen."""
