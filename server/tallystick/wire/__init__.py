"""Between the contract's messages and the core, for the gateway and for tills alike."""
