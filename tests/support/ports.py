"""Ports for servers that are told theirs before they start, or that come back on the same one."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

LOWEST = 10_000
_GIVEN_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")


def first_given_out() -> int:
    """Return the lowest port that the system gives to whoever asks for any; below it, it gives none."""
    return int(_GIVEN_OUT.read_text().split()[0]) if _GIVEN_OUT.exists() else 32_768


def free_port() -> int:
    """Return a port that nobody listens on, and that no server gets by chance until it is used.

    One that the system gave out and that was let go again may be the next one's that asks for any: a test that runs
    beside this one, or a connection.
    """
    while True:
        port = LOWEST + secrets.randbelow(first_given_out() - LOWEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
