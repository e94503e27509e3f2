"""Telling others of events: webhooks over HTTP, and a stream of NATS."""
