"""What gradflow costs; a package of its own name, so that another `benchmarks` that is installed does not take its place."""
