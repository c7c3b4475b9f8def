"""What is drawn at random: which operations draw, and whether a draw without gradient is part of an estimator."""
