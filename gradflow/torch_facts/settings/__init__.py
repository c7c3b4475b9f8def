"""Settings of a process or a thread that torch has no public readers and writers for."""
