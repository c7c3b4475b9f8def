"""What becomes a program of its own, and is called past every function mode: compiled code, TorchScript."""
