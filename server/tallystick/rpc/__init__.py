"""The edge: one pipeline behind gRPC and Connect, built from the service descriptors."""
