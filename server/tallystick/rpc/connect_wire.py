"""What unary calls and streams of the Connect protocol share: codecs, compression, timeouts, errors as JSON."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Mapping

from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from tallystick.core.record import record
from tallystick.rpc.errors import MessageMalformed, MessageTooLarge, code_name
from tallystick.rpc.json_codec import message_from_json, message_to_json
from tallystick.rpc.limits import TRANSPORT_BYTES_MAX
from tallystick.rpc.pipeline import Decode
from tallystick.service.errors import InvalidInput, TallystickError

TIMEOUT_CHARS_MAX = 10

GZIP_WINDOW = 16 + zlib.MAX_WBITS


class ProtocolVersionUnknown(InvalidInput):
    """The Connect protocol has version 1: send "connect-protocol-version: 1"."""


class TimeoutMalformed(InvalidInput):
    """The header connect-timeout-ms is a whole number of at most 10 digits."""


class EncodingUnknown(TallystickError):
    """Messages are sent as they are or with "content-encoding: gzip"."""

    reason = "MESSAGE_MALFORMED"


@record(frozen=True, slots=True)
class Codec:
    """One form of messages on the wire."""

    content_type: bytes
    decode: Decode
    encode: Callable[[Message], bytes]
    is_text: bool = False


CODECS = {
    "json": Codec(b"application/json", message_from_json, message_to_json, is_text=True),
    "proto": Codec(
        b"application/proto",
        lambda message_class, payload: message_class.FromString(payload),
        lambda message: message.SerializeToString(),
    ),
}
CODECS_BY_CONTENT_TYPE = {codec.content_type: codec for codec in CODECS.values()}


def timeout_of(headers: Mapping[bytes, bytes]) -> float | None:
    """Return the caller's timeout in seconds, None without one. Raises TimeoutMalformed."""
    text = headers.get(b"connect-timeout-ms")
    if text is None:
        return None
    if not text.isdigit() or len(text) > TIMEOUT_CHARS_MAX:
        raise TimeoutMalformed
    return int(text) / 1000


def unpacked(payload: bytes, encoding: bytes) -> bytes:
    """Return a message as it was before it was packed, without ever unfolding more than is taken.

    Raises EncodingUnknown, MessageMalformed or MessageTooLarge.
    """
    if encoding == b"identity" or not payload:
        return payload
    if encoding != b"gzip":
        raise EncodingUnknown
    unpacker = zlib.decompressobj(GZIP_WINDOW)
    try:
        plain = unpacker.decompress(payload, TRANSPORT_BYTES_MAX + 1)
    except zlib.error:
        raise MessageMalformed from None
    if len(plain) > TRANSPORT_BYTES_MAX:
        raise MessageTooLarge(max_bytes=TRANSPORT_BYTES_MAX)
    if not unpacker.eof or unpacker.unused_data:
        raise MessageMalformed
    return plain


def error_json(status: Status) -> dict[str, object]:
    """Return a status as the protocol spells it."""
    name = code_name(status.code).lower()
    details = [
        {
            "type": detail.TypeName(),
            # The protocol leaves the padding out.
            "value": base64.b64encode(detail.value).decode("ascii").rstrip("="),
        }
        for detail in status.details
    ]
    # Connect spells this one word the American way.
    return {
        "code": "canceled" if name == "cancelled" else name,
        "message": status.message,
        "details": details,
    }
