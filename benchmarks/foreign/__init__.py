"""Other projects' test suites, run plainly and under `gradflow run`."""
