"""What gradflow costs; a package, so that another `benchmarks` that is installed does not take its place."""
