"""What an audit looks into, for all parameters of a model at once."""
