"""What the recording of a program says, put in the form in which the rules ask for it."""
