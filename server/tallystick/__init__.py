"""Tallystick: an open, self-hosted omnichannel loyalty gateway."""

__version__ = "0.1.0"
