"""Benchmarks: each prints figures; ratios taken in one run are what counts on a machine that others use too."""
