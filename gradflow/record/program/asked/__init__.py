"""What the program itself looks at of its gradients."""
