"""What operations gave, as it is recorded."""
