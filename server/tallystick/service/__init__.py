"""Use cases: each module is one thing that a caller can ask of the gateway."""
