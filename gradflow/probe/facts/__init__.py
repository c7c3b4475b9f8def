"""What experiments find out, as plain data that the evidence holds."""
