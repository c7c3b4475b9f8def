"""What is kept of a run to compare it with another one."""
