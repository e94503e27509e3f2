"""Gateway, till, settlement, checkout and simulation decide alike: shown on random sales under random rule sets."""
