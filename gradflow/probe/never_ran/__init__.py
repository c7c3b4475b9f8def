"""What is known of a layer that never ran, where no condition around its call tells."""
