"""Server streams of the Connect protocol: messages in envelopes, and an end that says how it ended.

An envelope is a byte of flags, four bytes of length (big-endian) and the message. The HTTP status is always 200: what
went wrong is in the last envelope, as JSON. See https://connectrpc.com/docs/protocol (streaming).
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from google.protobuf.message import Message

from tallystick.core.record import record
from tallystick.rpc.connect_wire import CODECS, Codec, error_json, unpacked
from tallystick.rpc.errors import MessageMalformed
from tallystick.rpc.pipeline import Arrival, CallFailed, Endpoint, Write

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

FLAG_PACKED = 1
FLAG_END = 2
ABORT = "tallystick.abort"
"""The extension of the ASGI scope that cuts the connection off without waiting for its reader."""

LAST_WORD_S = 1.0
"""How long the end of a stream may take to get out behind messages that nobody reads."""

STREAM_CODECS = {b"application/connect+" + name.encode(): codec for name, codec in CODECS.items()}

_HEAD = struct.Struct(">BI")


@record(frozen=True, slots=True)
class StreamCall:
    """A call of a server stream: as it arrived, or how it failed before it did."""

    endpoint: Endpoint
    codec: Codec
    arrival: Arrival | CallFailed


def opened(body: bytes, encoding: bytes) -> bytes:
    """Return the message of a body that is one envelope. Raises as ``unpacked``."""
    if len(body) < _HEAD.size:
        raise MessageMalformed
    flags, length = _HEAD.unpack_from(body)
    payload = body[_HEAD.size :]
    if length != len(payload) or flags & ~FLAG_PACKED:
        raise MessageMalformed
    if not flags & FLAG_PACKED:
        return payload
    if encoding == b"identity":
        raise MessageMalformed
    return unpacked(payload, encoding)


async def serve_stream(
    call: StreamCall,
    scope: MutableMapping[str, Any],
    receive: Receive,
    send: Send,
    headers: Sequence[tuple[bytes, bytes]],
) -> None:
    """Answer a stream from its first byte to its last."""
    content_type = next(name for name, codec in STREAM_CODECS.items() if codec is call.codec)
    start = [(b"content-type", content_type), *headers]
    await send({"type": "http.response.start", "status": 200, "headers": start})

    async def write(message: Message) -> None:
        body = _envelope(0, call.codec.encode(message))
        await send({"type": "http.response.body", "body": body, "more_body": True})

    failed: CallFailed | None
    if isinstance(call.arrival, CallFailed):
        failed = call.arrival
    else:
        failed, is_there = await _until_end(call.endpoint, call.arrival, receive, write)
        if not is_there:
            return
    end = {"error": error_json(failed.status)} if failed is not None else {}
    body = _envelope(FLAG_END, json.dumps(end).encode())
    try:
        async with asyncio.timeout(LAST_WORD_S):
            await send({"type": "http.response.body", "body": body, "more_body": False})
    except TimeoutError:
        scope["extensions"][ABORT]["now"]()


async def _until_end(
    endpoint: Endpoint, arrival: Arrival, receive: Receive, write: Write
) -> tuple[CallFailed | None, bool]:
    """Serve until the stream ends or the caller is gone: how it failed, and whether the caller is there."""
    work = asyncio.create_task(endpoint.stream(arrival, write))
    gone = asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            return None, False
        work.result()
        return None, True
    except CallFailed as failed:
        return failed, True
    finally:
        # An ASGI server does not tell a handler that its caller has gone: the handler is stopped here.
        work.cancel()
        gone.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _envelope(flags: int, payload: bytes) -> bytes:
    return _HEAD.pack(flags, len(payload)) + payload
