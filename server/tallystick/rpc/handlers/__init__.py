"""Handlers: from a message to a use case and back, and nothing in between."""
