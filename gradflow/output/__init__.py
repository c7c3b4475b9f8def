"""Writing files: whole or not at all, and never over what is read or what is not gradflow's."""
