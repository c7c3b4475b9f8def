"""What sees a program while it runs: patches, hooks and a function mode, taken off again afterwards."""
