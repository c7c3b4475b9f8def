"""What a gradient is multiplied with on its way."""
