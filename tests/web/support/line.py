"""The line between a till and its gateway: a TCP proxy that can be cut and mended at any moment."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

CONNECT_S = 5.0
CHUNK_BYTES = 65_536


class Line:
    """Listens on a port of its own and passes bytes on to ``target``. Cut, it drops whoever is on it or calls."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._up = True
        self._mute = False
        threading.Thread(target=self._accept, name="line", daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        """Break every connection; new ones break at once."""
        with self._lock:
            self._up = False
            for one in self._open:
                _hang_up(one)

    def mute(self) -> None:
        """Lose whatever is answered from now on, though what is asked gets through; cut and mend it to go on."""
        self._mute = True

    def mend(self) -> None:
        """Let calls through again."""
        with self._lock:
            self._up, self._mute = True, False

    def close(self) -> None:
        """Cut it for good."""
        self.cut()
        _hang_up(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            far = socket.create_connection(self._target, timeout=CONNECT_S)
            far.settimeout(None)
            with far:
                with self._lock:
                    if not self._up:
                        return
                    self._open |= {near, far}
                back = threading.Thread(target=self._answer, args=(far, near), daemon=True)
                back.start()
                _pump(near, far, lambda: True)
                back.join()
                with self._lock:
                    self._open -= {near, far}

    def _answer(self, far: socket.socket, near: socket.socket) -> None:
        _pump(far, near, lambda: not self._mute)


def _pump(source: socket.socket, sink: socket.socket, open_now: Callable[[], bool]) -> None:
    """Pass bytes on, or lose them, until either end is done, and then end both."""
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK_BYTES):
            if open_now():
                sink.sendall(data)
    _hang_up(source)
    _hang_up(sink)


def _hang_up(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
