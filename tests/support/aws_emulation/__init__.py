"""AWS without AWS, for tests and benchmarks: README.md beside tests/aws says what is real in it."""
