"""What the program's source says where the recording cannot."""
