"""What becomes of the exceptions that autograd raises into a program."""
