"""Reading DER (ITU-T X.690) as far as a signature needs it."""

from __future__ import annotations

from typing import Self

from tallystick.core.record import record

BYTES_MAX = 65_536
_CONSTRUCTED = 0x20


class DerMalformed(Exception):
    """The bytes are not the DER that was expected."""


@record(frozen=True, slots=True)
class Der:
    """One element: ``raw`` is all of it, ``content`` what it holds."""

    tag: int
    raw: bytes
    content: bytes

    @classmethod
    def whole(cls, data: bytes) -> Self:
        """Return the one element that the bytes are."""
        if len(data) > BYTES_MAX:
            raise DerMalformed("it is too long")
        element, rest = cls._first(data)
        if rest:
            raise DerMalformed("bytes follow it")
        return element

    def children(self, *, at_least: int) -> list[Self]:
        """Return the elements inside."""
        if not self.tag & _CONSTRUCTED:
            raise DerMalformed("an element holds no others")
        found, rest = [], self.content
        while rest:
            element, rest = self._first(rest)
            found.append(element)
        if len(found) < at_least:
            raise DerMalformed("an element is missing")
        return found

    def integer(self) -> int:
        """Return an INTEGER's value."""
        if self.tag != 0x02 or not self.content:
            raise DerMalformed("a number was expected")
        return int.from_bytes(self.content, "big", signed=True)

    def octets(self) -> bytes:
        """Return an OCTET STRING's bytes."""
        if self.tag != 0x04:
            raise DerMalformed("bytes were expected")
        return self.content

    def oid(self) -> str:
        """Return an OBJECT IDENTIFIER as its numbers with dots."""
        if self.tag != 0x06 or not self.content or self.content[-1] & 0x80:
            raise DerMalformed("an object identifier was expected")
        numbers, value = [], 0
        for byte in self.content:
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                numbers.append(value)
                value = 0
        first = min(numbers[0] // 40, 2)
        return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))

    @classmethod
    def _first(cls, data: bytes) -> tuple[Self, bytes]:
        if len(data) < 2:
            raise DerMalformed("it is cut off")
        length, at = data[1], 2
        if length & 0x80:
            at += length & 0x7F
            if length == 0x80 or at > len(data):
                raise DerMalformed("a length is not definite")
            length = int.from_bytes(data[2:at], "big")
        end = at + length
        if end > len(data):
            raise DerMalformed("it is cut off")
        return cls(data[0], data[:end], data[at:end]), data[end:]
