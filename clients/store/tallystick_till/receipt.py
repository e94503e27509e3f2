"""What a receipt says about points, and the code on it: the signed sale itself, so that it outlives the till."""

from __future__ import annotations

from tallystick.security.envelope import RECEIPT, sign_body
from tallystick.security.keys import SigningKey
from tallystick.v1 import advice_pb2 as pb
from tallystick.wire.advices import bytes_of, to_digits
from tallystick.words import receipt_word

QR_DIGITS_MAX = 2_390
"""What a QR code of version 25 at level M holds in numeric mode (ISO/IEC 18004): a larger one does not print well."""

QR_BYTES_MAX = 992
"""The most bytes whose digits are never more than that: with the one in front, 2 * 256^992 < 10^2390."""

WIDTH = 32
_NO_DECIMALS = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV"}
    | {"XAF", "XOF", "XPF"}
)
_THREE_DECIMALS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})


def decimals(currency: str) -> int:
    """Return how many decimals a currency has (ISO 4217)."""
    if currency in _NO_DECIMALS:
        return 0
    return 3 if currency in _THREE_DECIMALS else 2


def money(amount_minor: int, currency: str) -> str:
    """Return an amount for people, such as 12.34 EUR."""
    places = decimals(currency)
    sign = "-" if amount_minor < 0 else ""
    whole, part = divmod(abs(amount_minor), 10**places)
    fraction = f".{part:0{places}d}" if places else ""
    return f"{sign}{whole}{fraction} {currency}"


def signed_advice(key: SigningKey, raw: bytes) -> pb.SignedAdvice:
    """Return an advice with a signature of its own, that anybody with the till's public key can check."""
    return pb.SignedAdvice(advice=raw, signature=sign_body(key, RECEIPT, raw))


def qr_digits(key: SigningKey, raw: bytes) -> str:
    """Return the digits for a receipt's code; empty when they are too many for a code that prints well."""
    signed = bytes_of(signed_advice(key, raw))
    # Longer ones are not even turned into digits, which takes time that grows with the square of their length.
    return to_digits(signed) if len(signed) <= QR_BYTES_MAX else ""


def receipt_lines(
    *,
    sale_id: str,
    currency: str,
    earned: int,
    burned: int,
    discount_minor: int,
    balance: int,
    has_code: bool,
    training: bool,
    language: str = "",
) -> tuple[str, ...]:
    """Return the lines to print, at most 32 characters wide but for the sale's id, in a language (BCP 47)."""

    def word(key: str) -> str:
        return receipt_word(key, language)

    lines = [word("training")] if training else []
    if burned:
        lines += [_pair(word("used"), str(burned)), _pair(word("taken_off"), money(discount_minor, currency))]
    lines += [_pair(word("earned"), str(earned)), _pair(word("now"), str(balance))]
    if not has_code:
        # What a code would have carried is found by the id: at this till, or by the gateway.
        lines.append(word("keep"))
        lines.append(sale_id)
    return tuple(lines)


def _pair(left: str, right: str) -> str:
    return f"{left}{right:>{max(1, WIDTH - len(left))}}"
