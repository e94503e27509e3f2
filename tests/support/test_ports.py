"""Ports that are told beforehand: nobody else gets them by chance."""

from __future__ import annotations

import socket

import pytest

from tests.support import ports


def test_a_free_port_is_none_that_the_system_gives_out() -> None:
    for _ in range(50):
        assert ports.LOWEST <= ports.free_port() < ports.first_given_out()
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        assert any_port.getsockname()[1] >= ports.first_given_out()


def test_a_port_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    free = ports.free_port()
    with socket.socket() as taken:
        port = ports.free_port()
        taken.bind(("127.0.0.1", port))
        numbers = [free - ports.LOWEST, port - ports.LOWEST]
        monkeypatch.setattr("secrets.randbelow", lambda _: numbers.pop())
        assert ports.free_port() == free
