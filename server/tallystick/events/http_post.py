"""One POST to somebody else's server, carefully: to a public address, without redirects, in bounded time and memory."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import h11

from tallystick.service.webhooks import is_public

TIMEOUT_S = 15.0
DRAIN_S = 2.0
ANSWER_BYTES_MAX = 65_536
"""As much of an answer's body is taken, for courtesy; nothing in it is looked at."""

HEAD_BYTES_MAX = 16_384
ADDRESSES_MAX = 4
_READ_BYTES = 8_192


class NotSent(Exception):
    """There was no answer; the message is a word for why, safe to show."""


class HttpPost:
    """Sends. ``private`` lets it send to this machine and to addresses that are not public.

    ``tls`` is for tests that have an authority of their own.
    """

    def __init__(
        self, *, private: bool, tls: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._private = private
        self._tls = tls or ssl.create_default_context()
        self._timeout_s = timeout_s

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Return the status of the answer. Raises ``NotSent`` when none came in time."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(url, headers, body)
        except TimeoutError:
            raise NotSent("timeout") from None
        except ssl.SSLCertVerificationError:
            raise NotSent("certificate not trusted") from None
        except ssl.SSLError:
            raise NotSent("no TLS") from None
        except OSError:
            raise NotSent("no connection") from None
        except h11.RemoteProtocolError:
            raise NotSent("no HTTP") from None

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        parts = urlsplit(url)
        host = parts.hostname or ""
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        reader, writer = await self._connected(host, port, secure=secure)
        try:
            connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            head = {
                "host": parts.netloc,
                "content-type": "application/json",
                "content-length": str(len(body)),
                "connection": "close",
                **headers,
            }
            request = h11.Request(method="POST", target=target, headers=list(head.items()))
            data = connection.send(request) or b""
            data += connection.send(h11.Data(data=body)) or b""
            data += connection.send(h11.EndOfMessage()) or b""
            writer.write(data)
            # A server may answer and close before it has read everything.
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            status = await _status(connection, reader)
            await _take_rest(connection, reader)
            return status
        finally:
            writer.transport.abort()

    async def _connected(
        self, host: str, port: int, *, secure: bool
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to an address that was looked at: the name is not asked for a second time."""
        addresses = await _addresses(host, port)
        if not self._private and not all(is_public(address) for address in addresses):
            raise NotSent("address not public")
        tls = self._tls if secure else None
        name = host if secure else None
        for address in addresses[:-1]:
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(address, port, ssl=tls, server_hostname=name)
        return await asyncio.open_connection(addresses[-1], port, ssl=tls, server_hostname=name)


async def _addresses(host: str, port: int) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotSent("name not found") from None
    return list(dict.fromkeys(str(one[4][0]) for one in found))[:ADDRESSES_MAX]


async def _status(connection: h11.Connection, reader: asyncio.StreamReader) -> int:
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            return event.status_code
        if event is h11.NEED_DATA:
            data = await reader.read(_READ_BYTES)
            if not data:
                raise NotSent("no answer")
            connection.receive_data(data)


async def _take_rest(connection: h11.Connection, reader: asyncio.StreamReader) -> None:
    """Take what is left of a short answer; the status counts whatever becomes of it."""
    taken = 0
    with contextlib.suppress(TimeoutError, OSError, h11.RemoteProtocolError):
        async with asyncio.timeout(DRAIN_S):
            while taken <= ANSWER_BYTES_MAX:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await reader.read(_READ_BYTES))
                elif isinstance(event, h11.Data):
                    taken += len(event.data)
                else:
                    return
