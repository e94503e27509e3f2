"""What several test packages and the benchmarks share."""
