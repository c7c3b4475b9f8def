"""Grad-CAM, run only once the gradient path is confirmed."""
