"""What is noted of a call of a layer."""
