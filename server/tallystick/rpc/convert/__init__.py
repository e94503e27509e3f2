"""Between the contract's messages and our own types: `*_from_pb` and `*_to_pb`, without decisions."""
