"""The demo shop as a process, its gateway, and what a browser does there."""
