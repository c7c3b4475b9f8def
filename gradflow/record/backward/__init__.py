"""What is read of autograd's own graph while it is alive: its nodes, what they saved, what passes them."""
