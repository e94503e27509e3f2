"""Rule sets: what a program's published text means, as frozen values and pure functions."""
